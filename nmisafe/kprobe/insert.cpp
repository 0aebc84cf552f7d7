// SPDX-License-Identifier: MIT
// Puts probes on and takes them off.
#include "nmisafe/context/count.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/instruction.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" const char __start_nmisafe_trap_text[];
extern "C" const char __stop_nmisafe_trap_text[];

namespace nmisafe::kprobe {

static_assert(internal::longest_slot_code <= slot_size);

namespace {

using base::expected;
using base::unexpected;
using internal::plan;
using internal::state;
using platform::contract;
using x86::instruction;
using x86::instruction_class;

constexpr probe_error no_error{};

uint32_t busy; // an insert(), remove() or release() is at work

/// Whether this is a handler, of a thread's hit or of an NMI's: remove() would wait for that very
/// handler. With one CPU only, may_synchronise() may hold in it, though interrupts are off. The
/// thread stays on its CPU meanwhile: on another one somebody else's handler may be running.
bool in_handler() {
    context::preempt_disable();
    const auto& mine = contract::this_cpu().in_probe_handler;
    const bool inside = mine[0] != 0 || mine[1] != 0;
    context::preempt_enable_no_resched();
    return inside;
}

/// Whether text can be changed from here, by nobody else meanwhile; if so, until leave().
probe_error enter() {
    if (contract::this_cpu().nmi_in_progress != 0)
        return probe_error::in_nmi;
    if (in_handler() || !contract::may_synchronise())
        return probe_error::cannot_synchronise;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return probe_error::busy;
    return no_error;
}

void leave() {
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

// --- the checks, before anything is written -----------------------------------------------------

/// An address near the end of the address space must not wrap around to one below the text.
bool is_text(uintptr_t begin, uintptr_t end) {
    return begin < end && contract::is_text(begin, end);
}

bool may_be_probed(uintptr_t begin, uintptr_t end) {
    return (end <= reinterpret_cast<uintptr_t>(__start_nmisafe_trap_text) ||
            begin >= reinterpret_cast<uintptr_t>(__stop_nmisafe_trap_text)) &&
           !contract::is_no_probe(begin, end);
}

struct decoded {
    uint8_t bytes[x86::maximum_instruction_length];
    instruction what;
};

/// The instruction at an address, as it is without the probes.
expected<decoded, probe_error> decode_at(uintptr_t address) {
    size_t available = x86::maximum_instruction_length;
    while (available != 0 && !is_text(address, address + available))
        --available;
    if (available == 0)
        return unexpected(probe_error::not_text);
    decoded result{};
    contract::read_text(address, result.bytes, available);
    for (size_t i = 0; i < available; ++i)
        if (const probe* const other = internal::all.sites.find(address + i))
            result.bytes[i] = other->internal.first_byte;
    const auto what = x86::decode(result.bytes, available, internal::this_width);
    if (!what)
        return unexpected(probe_error::unknown_instruction);
    result.what = *what;
    return result;
}

/// Of the instruction before: MOV to SS and POP SS hold everything off until the one behind them
/// has set the stack pointer. INT3 would push its frame to a stack that is not there.
bool may_follow(instruction_class before) {
    return before != instruction_class::load_stack_segment;
}

/// Of the instruction behind an STI: it must run before the first interrupt does. The INT3 that
/// ends the copy of the STI ends that too. It matters to those who wait, or leave.
bool may_lose_shadow(instruction_class after) {
    return after != instruction_class::halt && after != instruction_class::interrupt_return &&
           after != instruction_class::system_call && after != instruction_class::other_transfer;
}

/// The instruction of a probe, found by decoding all that come before it.
expected<decoded, probe_error> find_instruction(const probe& what) {
    auto before = instruction_class::ordinary;
    uintptr_t at = what.function;
    if (at > what.address)
        return unexpected(probe_error::not_boundary);
    while (at < what.address) {
        const auto passed = decode_at(at);
        if (!passed)
            return passed;
        at += passed->what.length;
        before = passed->what.kind;
    }
    if (at != what.address)
        return unexpected(probe_error::not_boundary);
    const auto found = decode_at(at);
    if (found && !may_follow(before))
        return unexpected(probe_error::unsupported);
    if (found && found->what.kind == instruction_class::enable_interrupts) {
        const auto next = decode_at(at + found->what.length);
        if (!next || !may_lose_shadow(next->what.kind))
            return unexpected(probe_error::unsupported);
    }
    return found;
}

/// The slot is overwritten: so no probe may stand in it, nor may it be the code of this one.
probe_error check_slot(const probe& what, uintptr_t length) {
    const uintptr_t slot = what.slot;
    if (slot == 0)
        return probe_error::no_slot;
    if (slot % slot_size != 0 || !is_text(slot, slot + slot_size) ||
        !may_be_probed(slot, slot + slot_size) || internal::all.slots.find(slot) != nullptr)
        return probe_error::bad_slot;
    if (slot < what.address + length && slot + slot_size > what.function)
        return probe_error::bad_slot;
    for (uintptr_t at = slot - x86::maximum_instruction_length + 1; at < slot + slot_size; ++at) {
        const probe* const other = internal::all.sites.find(at);
        if (other != nullptr && at + other->internal.step.length > slot)
            return probe_error::bad_slot;
    }
    return no_error;
}

/// How to step over the instruction of a probe, if it may be probed.
expected<plan, probe_error> check(const probe& what, uint8_t& first_byte) {
    if (!is_text(what.address, what.address + 1))
        return unexpected(probe_error::not_text);
    if (!may_be_probed(what.address, what.address + 1) ||
        internal::all.slots.find(what.address & ~uintptr_t{slot_size - 1}) != nullptr)
        return unexpected(probe_error::no_probe);
    if (internal::all.sites.find(what.address) != nullptr)
        return unexpected(probe_error::occupied);
    const auto found = find_instruction(what);
    if (!found)
        return unexpected(found.error());
    first_byte = found->bytes[0];
    const auto result = internal::make_plan(found->bytes, found->what, what.address, what.slot);
    if (!result || result->code_size == 0)
        return result;
    if (const probe_error why = check_slot(what, found->what.length); why != no_error)
        return unexpected(why);
    return result;
}

// --- the steps ----------------------------------------------------------------------------------

/// Nobody executes the slot yet; but CPUs may hold what stood there before.
void write_slot(uintptr_t slot, const plan& how) {
    contract::write_text(slot, how.code, how.code_size);
    contract::synchronise_cpus();
    if constexpr (platform::writes_text_twice<contract>)
        contract::write_text(slot, how.code, how.code_size);
}

probe_error exchange_first_byte(const probe& what, uint8_t before, uint8_t after) {
    text_patch::patch change{};
    change.address = what.address;
    change.size = 1;
    change.before[0] = before;
    change.after[0] = after;
    const auto changed = text_patch::apply(&change, 1);
    if (changed)
        return no_error;
    // All else has been checked: the site has changed, or somebody patches it now.
    return probe_error::busy;
}

void announce_change() {
    __atomic_fetch_add(&internal::all.changes, 1, __ATOMIC_SEQ_CST);
}

/// Forgets the slot, and makes the probe its owner's. A breakpoint handler that looks for another
/// probe may be standing on a link of this one, also on that of its site, which is out already: it
/// has interrupts off, so the synchronisation waits for it.
void take_out_slot(const probe& what) {
    if (internal::all.slots.find(what.slot) == &what)
        internal::all.slots.take_out(what.internal.slot);
    contract::synchronise_cpus();
}

probe_error insert_planned(probe& what, const plan& how, uint8_t first_byte) {
    what.hits = 0;
    what.completed = 0;
    what.missed = 0;
    what.internal.step = how.what;
    what.internal.first_byte = first_byte;
    if (how.code_size != 0)
        write_slot(what.slot, how);
    announce_change();
    if (how.code_size != 0)
        internal::all.slots.add(what.internal.slot, what.slot, what);
    internal::all.sites.add(what.internal.site, what.address, what);
    __atomic_store_n(&what.internal.armed, 1, __ATOMIC_SEQ_CST);
    const probe_error why = exchange_first_byte(what, first_byte, text_patch::breakpoint);
    if (why == no_error) {
        what.internal.now = state::inserted;
        return why;
    }
    // No INT3 has been written: nobody has found the probe.
    announce_change();
    internal::all.sites.take_out(what.internal.site);
    take_out_slot(what);
    return why;
}

/// After this no handler begins, and none runs: each runs to its end on its CPU, with interrupts
/// off, and waits for nobody.
void disarm(probe& what) {
    __atomic_store_n(&what.internal.armed, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&what.internal.running, __ATOMIC_SEQ_CST) != 0)
        x86::pause();
}

} // namespace

expected<size_t, probe_error> insert(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    size_t length = 0;
    if (what.internal.now != state::idle) {
        why = probe_error::wrong_state;
    } else {
        uint8_t first_byte = 0;
        const auto how = check(what, first_byte);
        why = how ? insert_planned(what, *how, first_byte) : how.error();
        if (how)
            length = how->what.length;
    }
    leave();
    if (why != no_error)
        return unexpected(why);
    return length;
}

expected<size_t, probe_error> remove(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    why = what.internal.now != state::inserted
              ? probe_error::wrong_state
              : exchange_first_byte(what, text_patch::breakpoint, what.internal.first_byte);
    if (why == no_error) {
        disarm(what);
        announce_change();
        internal::all.sites.take_out(what.internal.site);
        what.internal.now = state::removed;
    }
    leave();
    if (why != no_error)
        return unexpected(why);
    return size_t{what.hits};
}

expected<size_t, probe_error> release(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    if (what.internal.now != state::removed) {
        why = probe_error::wrong_state;
    } else {
        announce_change();
        take_out_slot(what);
        what.internal.now = state::idle;
    }
    leave();
    if (why != no_error)
        return unexpected(why);
    return what.slot != 0 ? slot_size : 0;
}

} // namespace nmisafe::kprobe
