// SPDX-License-Identifier: MIT
// The checks of a probe, before anything is written.
#include "nmisafe/kprobe/internal/check.hpp"

#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/text_patch/text.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::kprobe {

namespace {

using base::expected;
using base::unexpected;
using internal::checked;
using text_patch::decoded;
using text_patch::is_code;
using text_patch::may_be_changed;
using text_patch::walk_error;
using x86::instruction_class;

constexpr probe_error no_error{};

/// Whether all of it is code that stays. Closed code may be half there, or half gone: it is not
/// looked at. What is open stays until it is closed, for which somebody else would have to wait.
bool is_open(uintptr_t begin, uintptr_t end) {
    return is_code(begin, end) && !internal::is_closed(begin, end);
}

/// The first bytes of what other probes stand on.
void restore(uintptr_t address, uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (const probe* const other = internal::all.sites.find(address + i))
            bytes[i] = other->internal.first_byte;
}

probe_error translate(walk_error why) {
    switch (why) {
    case walk_error::not_text:
        return probe_error::not_text;
    case walk_error::unknown_instruction:
        return probe_error::unknown_instruction;
    default:
        return probe_error::not_boundary;
    }
}

/// Of the instruction behind an STI: it must run before the first interrupt does. The INT3 that
/// ends the copy of the STI ends that too. It matters to those who wait, or leave.
bool may_lose_shadow(instruction_class after) {
    return after != instruction_class::halt && after != instruction_class::interrupt_return &&
           after != instruction_class::system_call && after != instruction_class::other_transfer;
}

/// The instruction of a probe, found by decoding all that come before it.
expected<decoded, probe_error> find_instruction(const probe& what) {
    const text_patch::code_view view{is_open, restore};
    const auto before = text_patch::walk(what.function, what.address, view);
    if (!before)
        return unexpected(translate(before.error()));
    const auto found = text_patch::decode_at(what.address, view);
    if (!found)
        return unexpected(translate(found.error()));
    if (!text_patch::breakpoint_may_follow(*before))
        return unexpected(probe_error::unsupported);
    if (found->what.kind == instruction_class::enable_interrupts) {
        const auto next = text_patch::decode_at(what.address + found->what.length, view);
        if (!next || !may_lose_shadow(next->what.kind))
            return unexpected(probe_error::unsupported);
    }
    return *found;
}

/// The slot is overwritten: so no probe may stand in it, nor may it be the code of this one.
probe_error check_slot(const probe& what, uintptr_t length) {
    const uintptr_t slot = what.slot;
    if (slot == 0)
        return probe_error::no_slot;
    if (slot % slot_size != 0 || !is_open(slot, slot + slot_size) ||
        !may_be_changed(slot, slot + slot_size) || internal::all.slots.find(slot) != nullptr)
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

expected<checked, probe_error> internal::check(const probe& what) {
    if (!is_open(what.address, what.address + 1))
        return unexpected(probe_error::not_text);
    if (!may_be_changed(what.address, what.address + 1) ||
        internal::all.slots.find(what.address & ~uintptr_t{slot_size - 1}) != nullptr)
        return unexpected(probe_error::no_probe);
    if (internal::all.sites.find(what.address) != nullptr)
        return unexpected(probe_error::occupied);
    const auto found = find_instruction(what);
    if (!found)
        return unexpected(found.error());
    const size_t length = found->what.length;
    if (!may_be_changed(what.address, what.address + length))
        return unexpected(probe_error::no_probe); // it reaches into such code
    for (size_t i = 1; i < length; ++i)
        if (internal::all.sites.find(what.address + i) != nullptr)
            return unexpected(probe_error::not_boundary); // one of the two is not on one
    const auto how = internal::make_plan(found->bytes, found->what, what.address, what.slot);
    if (!how)
        return unexpected(how.error());
    if (how->code_size != 0)
        if (const probe_error why = check_slot(what, length); why != no_error)
            return unexpected(why);
    checked result{};
    result.how = *how;
    for (size_t i = 0; i < length; ++i)
        result.bytes[i] = found->bytes[i];
    return result;
}

} // namespace nmisafe::kprobe
