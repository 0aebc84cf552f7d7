// SPDX-License-Identifier: MIT
// The checks of a probe, before anything is written.
#include "nmisafe/kprobe/internal/check.hpp"

#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/text_patch/text.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::kprobe {

namespace {

using base::expected;
using base::unexpected;
using internal::checked;
using internal::no_error;
using text_patch::decoded;
using text_patch::is_code;
using text_patch::may_be_changed;
using text_patch::walk_error;
using x86::instruction_class;

/// Whether all of it is code that stays. Closed code may be half there, or half gone: it is not
/// looked at. What is open stays until it is closed, for which somebody else would have to wait.
bool is_open(uintptr_t begin, uintptr_t end) {
    return is_code(begin, end) && !internal::is_closed(begin, end);
}

/// The first bytes of what other probes stand on.
void restore(uintptr_t address, uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (bytes[i] == text_patch::breakpoint)
            if (const probe* const other = internal::all.sites.find(address + i))
                bytes[i] = other->internal.first_byte;
}

uintptr_t end_of(const probe& what) {
    return what.address + what.internal.step.length;
}

probe_error translate(walk_error why) {
    switch (why) {
    case walk_error::not_text:
        return probe_error::not_text;
    case walk_error::unknown_instruction:
        return probe_error::unknown_instruction;
    case walk_error::not_boundary:
        break;
    }
    return probe_error::not_boundary;
}

/// Of the instruction behind an STI: it must run before the first interrupt does. The INT3 that
/// ends the copy of the STI ends that too. It matters to those who wait, or leave.
bool may_lose_shadow(instruction_class after) {
    return after != instruction_class::halt && after != instruction_class::interrupt_return &&
           after != instruction_class::system_call && after != instruction_class::other_transfer;
}

/// The instruction of a probe, found by decoding those that come before it.
expected<decoded, probe_error> find_instruction(const probe& what, uintptr_t& middle) {
    const text_patch::code_view view{is_open, restore};
    const uintptr_t begin = internal::all.sites.boundary_before(what.function, what.address);
    const auto before = text_patch::walk(begin, what.address, view);
    if (!before)
        return unexpected(translate(before.error()));
    middle = before->middle;
    const auto found = text_patch::decode_at(what.address, view);
    if (!found)
        return unexpected(translate(found.error()));
    if (!text_patch::breakpoint_may_follow(before->last))
        return unexpected(probe_error::unsupported);
    if (found->what.kind == instruction_class::enable_interrupts) {
        const auto next = text_patch::decode_at(what.address + found->what.length, view);
        if (!next || !may_lose_shadow(next->what.kind))
            return unexpected(probe_error::unsupported);
    }
    return *found;
}

bool is_slot(uintptr_t address) {
    return internal::all.slots.find(address & ~uintptr_t{slot_size - 1}) != nullptr;
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
    const probe* const other = internal::all.sites.last_before(slot + slot_size);
    return other != nullptr && end_of(*other) > slot ? probe_error::bad_slot : no_error;
}

} // namespace

uintptr_t internal::site_table::boundary_before(uintptr_t function, uintptr_t address) const {
    uintptr_t nearest = function;
    for (const address_order* const known : {&places_, &middles_}) {
        // Another function's are left: if its begin is not one of this one's boundaries, nor are
        // they.
        const ordered* const found = known->last_before(address);
        if (found != nullptr && found->owner->function == function && found->key > nearest)
            nearest = found->key;
    }
    return nearest;
}

expected<checked, probe_error> internal::check(const probe& what) {
    if (!is_open(what.address, what.address + 1))
        return unexpected(probe_error::not_text);
    if (!may_be_changed(what.address, what.address + 1) || is_slot(what.address))
        return unexpected(probe_error::no_probe);
    if (internal::all.sites.find(what.address) != nullptr)
        return unexpected(probe_error::occupied);
    checked result{};
    const auto found = find_instruction(what, result.middle);
    if (!found)
        return unexpected(found.error());
    const size_t length = found->what.length;
    const uintptr_t end = what.address + length;
    if (!may_be_changed(what.address, end) || is_slot(end - 1))
        return unexpected(probe_error::no_probe); // it reaches into such code
    const probe* const other = internal::all.sites.last_before(end);
    if (other != nullptr && end_of(*other) > what.address)
        return unexpected(probe_error::not_boundary); // one of the two is not on one
    const auto how = internal::make_plan(found->bytes, found->what, what.address, what.slot);
    if (!how)
        return unexpected(how.error());
    if (how->code_size != 0)
        if (const probe_error why = check_slot(what, length); why != no_error)
            return unexpected(why);
    result.how = *how;
    for (size_t i = 0; i < length; ++i)
        result.bytes[i] = found->bytes[i];
    return result;
}

} // namespace nmisafe::kprobe
