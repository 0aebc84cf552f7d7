// SPDX-License-Identifier: MIT
// What a statement does when its marker is on.
//
// It stands in the statement, not in a function that all share: a call there would cost as much as
// the hit itself. Nothing here takes a lock, allocates or waits; it touches the marker and its
// probes.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/marker.hpp"

namespace nmisafe::marker {

namespace internal {

/// What a hit hands to its probes.
template <size_t Count>
struct argument_block {
    template <typename... Words>
    constexpr explicit argument_block(const marker& which, Words... values)
        : head(which), words{values...} {}

    arguments head;
    uint64_t words[Count];
};
template <>
struct argument_block<0> {
    constexpr explicit argument_block(const marker& which) : head(which) {}

    arguments head;
};
static_assert(offsetof(argument_block<1>, words) == sizeof(arguments), "as arguments reads them");

} // namespace internal

class hits {
  public:
    /// Calls the probes of a marker, in the order of their registration. @return false, and nothing
    /// called, if too many hits are under way on this CPU: a probe has hit a marker, or what it
    /// does has, and so on and on. @context any
    [[nodiscard, gnu::always_inline]] static bool call(const marker& which,
                                                       const arguments& values) {
        // The section that a grace period waits for. It begins before the list is looked at.
        if (!context::preempt_disable_capped()) [[unlikely]]
            return false;
        const probe* const one = __atomic_load_n(&which.hit_, __ATOMIC_ACQUIRE);
        one->function_(which, one->private_data_, values);
        context::preempt_enable_capped();
        return true;
    }

    /// The function of internal::calls_all.
    static void call_all(const marker& which, void*, const arguments& values) {
        for (const probe* one = __atomic_load_n(&which.first_, __ATOMIC_ACQUIRE); one != nullptr;
             one = __atomic_load_n(&one->next_, __ATOMIC_ACQUIRE))
            one->function_(which, one->private_data_, values);
    }
};

} // namespace nmisafe::marker
