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
                                         platform::frame& frame) {
    __atomic_fetch_add(&what.internal.running, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&what.internal.armed, __ATOMIC_SEQ_CST) != 0) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        in_handler() = 1;
        if (function != nullptr)
            function(what, frame);
        in_handler() = 0;
    }
    __atomic_fetch_sub(&what.internal.running, 1, __ATOMIC_RELEASE);
}

/// Where the frame goes on when the post handler has run, if that is behind a RET that is still to
/// be executed there; else 0.
using pending_return = uintptr_t;

/// Calls the pre handler, and emulates what needs no slot. False: the post handler's turn is not now.
[[NMISAFE_TRAP_INLINE]] inline bool at_probe(probe& what, platform::frame& frame, uintptr_t& ip,
                                             pending_return& ret) {
    ip = what.address;
    if (in_handler() == 0)
        call(what.pre, what.hits, what, frame);
    else
        __atomic_fetch_add(&what.missed, 1, __ATOMIC_RELAXED);
    if (internal::emulate(frame, what.internal.step, what.address))
        return true;
    ip = what.slot;
    if (what.internal.step.how != way::return_near)
        return false;
    ret = what.slot;
    return true;
}

[[NMISAFE_TRAP_INLINE]] inline void at_end_of_slot(const probe& what, platform::frame& frame,
                                                   uintptr_t& ip, pending_return& ret) {
    const internal::step& step = what.internal.step;
    const uintptr_t next = what.address + step.length;
    ip = next;
    if (step.how == way::copy)
        return;
    platform::note_return_address(frame); // of the slot's RET, or of the CALL
    if (step.how == way::jump_indirect) {
        ret = what.slot + step.end + 1;
    } else if (step.how == way::call) {
        ip = step.target;
    } else if (step.how == way::call_indirect) {
        volatile uintptr_t& top = platform::top_of_stack(frame);
        ip = top;
        top = next;
    }
}

/// With a RET pending the post handler sees what that leaves.
[[NMISAFE_TRAP_INLINE]] inline void call_post(probe& what, platform::frame& frame, uintptr_t& ip,
                                              pending_return ret) {
    if (in_handler() != 0) {
        if (ret != 0)
            ip = ret;
        return;
    }
    if (ret != 0)
        ip = platform::top_of_stack(frame);
#ifdef __x86_64__
    const uintptr_t popped = ret != 0 ? sizeof(uintptr_t) + what.internal.step.released : 0;
    platform::sp_of(frame) += popped;
#endif
    call(what.post, what.completed, what, frame);
#ifdef __x86_64__
    platform::sp_of(frame) -= popped;
#endif
    if (ret != 0)
        ip = ret;
}

} // namespace

[[NMISAFE_TRAP_TEXT, gnu::used]] bool handle_breakpoint(platform::frame& frame) {
    uintptr_t& ip = platform::ip_of(frame);
    const uintptr_t address = ip - 1; // #BP is a trap: the frame is behind the INT3
    const uint32_t changes = __atomic_load_n(&internal::all.changes, __ATOMIC_ACQUIRE);
    pending_return ret = 0;
    probe* what = internal::all.sites.find(address);
    bool is_post = true;
    if (what != nullptr) {
        is_post = at_probe(*what, frame, ip, ret);
    } else {
        what = internal::all.slots.find(address & slot_mask);
        if (what != nullptr && address == what->slot + what->internal.step.end)
            at_end_of_slot(*what, frame, ip, ret);
        else
            what = nullptr;
    }
    if (what != nullptr) {
        if (is_post)
            call_post(*what, frame, ip, ret);
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
    ip = address;
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
