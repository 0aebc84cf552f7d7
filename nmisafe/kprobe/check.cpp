// SPDX-License-Identifier: MIT
// The checks of a probe, before anything is written.
#include "nmisafe/kprobe/internal/check.hpp"

#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/x86/instruction.hpp"

extern "C" const char __start_nmisafe_trap_text[];
extern "C" const char __stop_nmisafe_trap_text[];

namespace nmisafe::kprobe {

namespace {

using base::expected;
using base::unexpected;
using internal::plan;
using platform::contract;
using x86::instruction;
using x86::instruction_class;

constexpr probe_error no_error{};

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

} // namespace

expected<plan, probe_error> internal::check(const probe& what, uint8_t& first_byte) {
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

} // namespace nmisafe::kprobe
