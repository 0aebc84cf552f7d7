// SPDX-License-Identifier: MIT
// The breakpoint handler. It stands in the no-probe section, and all it calls but the probes'
// handlers is inlined into it: a probe in here would never come to an end.
//
//   INT3 of the probe     pre handler; then the frame is changed to what the instruction leaves, and
//                         the post handler runs; or the frame goes to the slot
//   INT3 of the slot      post handler; the frame goes on behind the instruction, or to its target
//
// The INT3 of the slot finds everything in the probe, the frame and the stack, nothing in per-CPU
// memory. So between the two anything may happen: interrupts, NMIs, a change of threads or CPUs, a
// fault that never comes back.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/kprobe/internal/branch.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::kprobe {

namespace internal {
constinit tables all{};
}

namespace {

using internal::way;
using platform::contract;
using platform::frame_words;
using platform::word_at;

constexpr uintptr_t slot_mask = ~uintptr_t{slot_size - 1};

/// Whether a handler runs on this CPU, in an NMI or below. Interrupts are off in a handler, so only
/// an NMI, a #DB or a #MC can come between, and each leaves its word as it finds it.
///
/// Not by in_nmi(): a #DB or #MC may be counted as an NMI and be interrupted by one, which would
/// then take the handler that it interrupts for its own. nmi_in_progress counts NMIs alone, and
/// from before the first to after the last instruction of one that a probe may stand on. Within an
/// NMI the next is blocked, so what a #DB or #MC hits there can share the NMI's word.
[[NMISAFE_TRAP_INLINE]] inline volatile uint8_t& in_handler() {
    return contract::this_cpu().in_probe_handler[contract::this_cpu().nmi_in_progress != 0 ? 1 : 0];
}

/// remove() clears `armed`, then waits for `running` to be 0. Both orders are sequentially
/// consistent: so either the probe is found disarmed here, or remove() waits.
[[NMISAFE_TRAP_INLINE]] inline void call(handler function, uint32_t& counter, probe& what,
                                         frame_words frame) {
    __atomic_fetch_add(&what.internal.running, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&what.internal.armed, __ATOMIC_SEQ_CST) != 0) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        in_handler() = 1;
        if (function != nullptr)
            function(what, reinterpret_cast<platform::frame&>(*frame));
        in_handler() = 0;
    }
    __atomic_fetch_sub(&what.internal.running, 1, __ATOMIC_RELEASE);
}

[[NMISAFE_TRAP_INLINE]] inline void call_post(probe& what, frame_words frame) {
    if (in_handler() == 0)
        call(what.post, what.completed, what, frame);
}

/// The word at the top of the interrupted stack.
[[NMISAFE_TRAP_INLINE]] inline volatile uintptr_t& top_of_stack(frame_words frame) {
#ifdef __x86_64__
    return *reinterpret_cast<volatile uintptr_t*>(frame[word_at.sp]);
#else
    return frame[word_at.sp];
#endif
}

/// A RET is about to be executed at `ret`: the post handler sees what it leaves.
[[NMISAFE_TRAP_INLINE]] inline void call_post_before_return(probe& what, frame_words frame,
                                                            uintptr_t ret) {
    frame[word_at.ip] = top_of_stack(frame);
#ifdef __x86_64__
    const uintptr_t popped = sizeof(uintptr_t) + what.internal.step.released;
    frame[word_at.sp] += popped;
    call_post(what, frame);
    frame[word_at.sp] -= popped;
#else
    call_post(what, frame);
#endif
    frame[word_at.ip] = ret;
}

[[NMISAFE_TRAP_INLINE]] inline void at_probe(probe& what, frame_words frame) {
    frame[word_at.ip] = what.address;
    if (in_handler() == 0)
        call(what.pre, what.hits, what, frame);
    else
        __atomic_fetch_add(&what.missed, 1, __ATOMIC_RELAXED);
    if (internal::emulate(frame, what.internal.step, what.address))
        call_post(what, frame);
    else if (what.internal.step.how == way::return_near)
        call_post_before_return(what, frame, what.slot);
    else
        frame[word_at.ip] = what.slot;
}

[[NMISAFE_TRAP_INLINE]] inline void at_end_of_slot(probe& what, frame_words frame) {
    const internal::step& step = what.internal.step;
    const uintptr_t next = what.address + step.length;
    if (step.how == way::jump_indirect) {
        call_post_before_return(what, frame, what.slot + step.end + 1);
        platform::note_return_address(
            reinterpret_cast<platform::frame&>(*frame)); // of the slot's RET
        return;
    }
    if (step.how == way::call) {
        frame[word_at.ip] = step.target;
        platform::note_return_address(reinterpret_cast<platform::frame&>(*frame));
    } else if (step.how == way::call_indirect) {
        frame[word_at.ip] = top_of_stack(frame);
        top_of_stack(frame) = next;
        platform::note_return_address(reinterpret_cast<platform::frame&>(*frame));
    } else {
        frame[word_at.ip] = next;
    }
    call_post(what, frame);
}

} // namespace

[[NMISAFE_TRAP_TEXT, gnu::used]] bool handle_breakpoint(platform::frame& trapped) {
    const auto frame = reinterpret_cast<frame_words>(&trapped);
    const uintptr_t address = frame[word_at.ip] - 1; // #BP is a trap: the frame is behind the INT3
    const uint32_t changes = __atomic_load_n(&internal::all.changes, __ATOMIC_ACQUIRE);
    if (probe* const what = internal::all.sites.find(address)) {
        at_probe(*what, frame);
        return true;
    }
    probe* const what = internal::all.slots.find(address & slot_mask);
    if (what != nullptr && address == what->slot + what->internal.step.end) {
        at_end_of_slot(*what, frame);
        return true;
    }
    // The probe may have been removed since this CPU executed its INT3. If so, what stands there
    // now is what this CPU is to execute.
    if (!contract::is_text(address, address + 1))
        return false;
    uint8_t byte = 0;
    contract::read_text(address, &byte, 1);
    if (byte == text_patch::breakpoint &&
        __atomic_load_n(&internal::all.changes, __ATOMIC_ACQUIRE) == changes)
        return false;
    frame[word_at.ip] = address;
    return true;
}

[[NMISAFE_TRAP_TEXT, gnu::used]] uintptr_t original_address(uintptr_t ip) {
    const probe* const what = internal::all.slots.find(ip & slot_mask);
    if (what == nullptr)
        return ip;
    const internal::step& step = what->internal.step;
    // Behind a copy all of it is done but the INT3: a trap or an interrupt that came there reports
    // the next instruction.
    const bool is_done = step.how == way::copy && ip >= what->slot + step.end;
    return what->address + (is_done ? step.length : 0);
}

} // namespace nmisafe::kprobe
