// SPDX-License-Identifier: MIT
#include "nmisafe/kprobe/closed_range.hpp"

#include "nmisafe/kprobe/internal/check.hpp"
#include "nmisafe/kprobe/internal/turn.hpp"
#include "nmisafe/kprobe/kprobe.hpp"

namespace nmisafe::kprobe {

namespace {

using base::expected;
using base::unexpected;
using internal::state;

constexpr probe_error no_error{};

// Read and changed between enter() and leave() only, so never by a breakpoint handler.
closed_range* first_closed;

/// Where the pointer to a range is, or the null pointer at the end.
closed_range** find(const closed_range& range) {
    closed_range** at = &first_closed;
    while (*at != nullptr && *at != &range)
        at = &(*at)->next;
    return at;
}

/// Whether a probe stands in the way of the code's going.
bool is_occupied(const base::address_range& code) {
    const auto overlaps = [&](uintptr_t address, uintptr_t size) {
        return code.overlaps({address, address + size});
    };
    bool occupied = false;
    internal::all.sites.for_each(
        [&](const probe& one) { occupied |= overlaps(one.address, one.internal.step.length); });
    internal::all.slots.for_each([&](const probe& one) {
        occupied |= overlaps(one.slot, slot_size);
        // Of a removed one, too: from the slot a thread goes on behind the instruction.
        if (one.internal.now == state::removed)
            occupied |= overlaps(one.address, one.internal.step.length + uintptr_t{1});
    });
    return occupied;
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
    } else if (is_occupied(range.code)) {
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
