// SPDX-License-Identifier: MIT
#include "nmisafe/kprobe/closed_range.hpp"

#include "nmisafe/kprobe/internal/check.hpp"
#include "nmisafe/kprobe/internal/removal.hpp"
#include "nmisafe/kprobe/internal/turn.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"

namespace nmisafe::kprobe {

namespace {

using base::expected;
using base::unexpected;
using internal::no_error;
using internal::state;

// Read and changed between enter() and leave() only, so never by a breakpoint handler.
closed_range* first_closed;

/// Where the pointer to a range is, or the null pointer at the end.
closed_range** find(const closed_range& range) {
    closed_range** at = &first_closed;
    while (*at != nullptr && *at != &range)
        at = &(*at)->next;
    return at;
}

template <typename T>
uintptr_t address_of(T* what) {
    return reinterpret_cast<uintptr_t>(what);
}

bool overlap(const base::address_range& range, uintptr_t address, uintptr_t size) {
    return range.overlaps({address, address + size});
}

/// Whether a probe that is inserted stands on the code.
bool stands_on(const probe& one, const closed_range& range) {
    return overlap(range.code, one.address, one.internal.step.length);
}

/// Whether a probe that has a slot needs the code. Of a removed one, too: from the slot a thread
/// goes on behind the instruction.
bool needs_code(const probe& one, const closed_range& range) {
    return overlap(range.code, one.slot, slot_size) ||
           (one.internal.now == state::removed &&
            overlap(range.code, one.address, one.internal.step.length + uintptr_t{1}));
}

bool lies_in(const probe& one, const closed_range& range) {
    return overlap(range.data, address_of(&one), sizeof one);
}

/// Whether the handlers of a probe would go into the range.
bool leads_into(const probe& one, const closed_range& range) {
    return range.code.holds(address_of(one.pre), 1) || range.code.holds(address_of(one.post), 1) ||
           range.code.holds(address_of(one.argument), 1) ||
           range.data.holds(address_of(one.argument), 1) ||
           range.constants.holds(address_of(one.argument), 1);
}

/// Whether a probe stands in the way of the code's going.
bool is_occupied(const closed_range& range) {
    bool occupied = false;
    internal::all.sites.for_each([&](const probe& one) {
        occupied |= stands_on(one, range) || (!lies_in(one, range) && leads_into(one, range));
    });
    internal::all.slots.for_each([&](const probe& one) { occupied |= needs_code(one, range); });
    return occupied;
}

/// @return the first error; whom it concerns is still there.
probe_error take_off_all(const closed_range& range) {
    probe_error first = no_error;
    // The link of one that is taken off still leads to those behind it.
    internal::all.sites.for_each([&](probe& one) {
        const bool has_slot = internal::all.slots.find(one.slot) == &one;
        if (!stands_on(one, range) && !lies_in(one, range) && !leads_into(one, range) &&
            !(has_slot && needs_code(one, range)))
            return;
        if (const probe_error why = internal::take_off(one); first == no_error)
            first = why;
    });
    return first;
}

/// Of the probes that are not released.
size_t count_needing(const closed_range& range) {
    size_t count = 0;
    internal::all.slots.for_each(
        [&](const probe& one) { count += lies_in(one, range) || needs_code(one, range); });
    return count;
}

} // namespace

bool internal::is_closed(uintptr_t begin, uintptr_t end) {
    for (const closed_range* at = first_closed; at != nullptr; at = at->next)
        if (at->code.overlaps({begin, end}))
            return true;
    return false;
}

expected<size_t, probe_error> close(closed_range& range) {
    probe_error why = internal::enter();
    if (why != no_error)
        return unexpected(why);
    if (*find(range) != nullptr) {
        why = probe_error::wrong_state;
    } else if (is_occupied(range)) {
        why = probe_error::occupied;
    } else {
        range.next = first_closed;
        first_closed = &range;
    }
    internal::leave();
    if (why != no_error)
        return unexpected(why);
    return range.code.end - range.code.begin;
}

/// Without a slot nobody can be in it: such a probe is nobody's as soon as no breakpoint handler
/// can stand on its link, which the synchronisation sees to.
expected<size_t, probe_error> evict(const closed_range& range) {
    probe_error why = internal::enter();
    if (why != no_error)
        return unexpected(why);
    why = take_off_all(range);
    platform::contract::synchronise_cpus();
    const size_t needing = count_needing(range);
    internal::leave();
    if (why != no_error)
        return unexpected(why);
    return needing;
}

expected<size_t, probe_error> open(closed_range& range) {
    const probe_error why = internal::enter();
    if (why != no_error)
        return unexpected(why);
    closed_range** const at = find(range);
    const bool found = *at != nullptr;
    if (found)
        *at = range.next;
    internal::leave();
    if (!found)
        return unexpected(probe_error::wrong_state);
    return range.code.end - range.code.begin;
}

} // namespace nmisafe::kprobe
