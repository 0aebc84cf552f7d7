// SPDX-License-Identifier: MIT
// Tables come and go.
#include "nmisafe/marker/join.hpp"

#include "nmisafe/marker/internal/check.hpp"
#include "nmisafe/marker/internal/registration.hpp"

namespace nmisafe::marker {

using base::expected;
using base::unexpected;
using internal::no_error;

namespace {

/// The pointer to the range in the list; null if it is not there.
marker_range** find_link(const marker_range& which) {
    marker_range** link = &internal::joined;
    while (*link != nullptr && *link != &which)
        link = &(*link)->internal.next;
    return *link != nullptr ? link : nullptr;
}

/// Release: pairs with the acquires of all_markers.
void publish(marker_range*& link, marker_range* target) {
    __atomic_store_n(&link, target, __ATOMIC_RELEASE);
}

marker& marker_at(const int32_t* entry) {
    return *reinterpret_cast<marker*>(internal::address_of(entry));
}

} // namespace

expected<size_t, marker_error> join(marker_range& added) {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    if (find_link(added) != nullptr || added.internal.retirement.is_under_way())
        return unexpected(marker_error::range_in_use);
    if (const marker_error why = range_check(added).run(); why != no_error)
        return unexpected(why);
    if (const marker_error why = mine.turn_like_twins(added); why != no_error)
        return unexpected(why);
    // One after the other: of two in this table that are the same the second finds the first.
    for (const int32_t* entry = added.begin; entry != added.end; ++entry)
        mine.hide(marker_at(entry));
    added.internal.retirement.end();
    added.internal.next = internal::joined;
    publish(internal::joined, &added);
    for (const int32_t* entry = added.begin; entry != added.end; ++entry)
        mine.link(marker_at(entry));
    return static_cast<size_t>(added.end - added.begin);
}

expected<size_t, marker_error> leave(marker_range& gone) {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    marker_range** const link = find_link(gone);
    if (link == nullptr)
        return unexpected(marker_error::not_joined);
    size_t unregistered = 0;
    for (const int32_t* entry = gone.begin; entry != gone.end; ++entry)
        unregistered += mine.unlink(marker_at(entry));
    publish(*link, gone.internal.next);
    unregistered += mine.evict(gone);
    gone.internal.retirement.begin();
    return unregistered;
}

} // namespace nmisafe::marker
