// SPDX-License-Identifier: MIT
/// Markers of code that is loaded later: a module brings the table that its own linking has made.
///
///     nmisafe::marker::marker_range markers{.begin = ..., .end = ..., .data = ...,
///                                           .constants = ..., .code = ...};
///     const auto joined = nmisafe::marker::join(markers);   // after immediate::join()
///     ...
///     const auto left = nmisafe::marker::leave(markers);    // nothing runs its code any more
///     const auto done = nmisafe::marker::synchronise();     // then its memory may go
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/marker/internal/retirement.hpp"
#include "nmisafe/marker/marker.hpp"

namespace nmisafe::marker {

/// A table of markers and the memory of what it names, mapped. Owned by who joins it: it, the table
/// and that memory stay until synchronise() after leave() has returned.
struct marker_range {
    const int32_t* begin; ///< Entries: where a marker is, relative to the entry.
    const int32_t* end;
    base::address_range data;      ///< Where markers and their flags lie, no other table's do.
    base::address_range constants; ///< Where their strings and types lie, which nobody writes.
    base::address_range code;      ///< Where its functions lie: leave() looks for them.

    struct {
        marker_range* next;
        nmisafe::marker::internal::retirement retirement;
    } internal; ///< The library's: zero to begin with.
};

/// Takes the markers of a range up: register_probe() and all_markers know them from now on. Every
/// entry is checked first; with an error nothing has changed.
///
/// A marker with the channel, name and format of one that is known, as an inline function in both
/// has it, is the same marker from now on: all_markers lists it once, a registration turns all of
/// it on or off at one instant, its probes are called for hits in each image, arm_count() is the
/// same. If probes are registered with it already, the newcomer is turned on. What a probe gets as
/// `which` is the one that was hit.
///
/// Costs three synchronisations of all CPUs if a site is to be patched, else none.
/// @context thread, interrupts on. @return how many markers there are in the table.
base::expected<size_t, marker_error> join(marker_range& added);

/// Forgets the markers of a range; hits in its code call nothing any more, though the statements
/// stay as they are. The same marker in other images goes on as it was. Where there is none, the
/// probes registered with it become unregistered. So do those, of whatever marker, that lie in
/// `data`, `constants` or `code`, or whose function or private data does: nothing that
/// register_probe() has been given leads into the image any more. An image without markers leaves
/// too, with an empty table.
///
/// Hits that have begun may still call a probe, and look at a marker of the range.
///
/// It depends on no patch (see unregister_probe()); errors are `in_nmi`, `not_joined` and `busy`.
/// @context thread. @return how many probes have become unregistered.
base::expected<size_t, marker_error> leave(marker_range& gone);

} // namespace nmisafe::marker
