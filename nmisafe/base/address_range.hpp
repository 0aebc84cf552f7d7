// SPDX-License-Identifier: MIT
/// A part of the address space, to ask what lies in it.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::base {

/// From begin up to, not including, end. One with end at or below begin holds nothing.
struct address_range {
    uintptr_t begin;
    uintptr_t end;

    /// Whether all `size` bytes from `address` on lie in it; no sum is made that could wrap around.
    /// @context any
    constexpr bool holds(uintptr_t address, size_t size) const {
        return begin <= address && address <= end && size <= end - address;
    }

    /// Whether any byte lies in both. @context any
    constexpr bool overlaps(const address_range& other) const {
        const uintptr_t first = begin > other.begin ? begin : other.begin;
        const uintptr_t last = end < other.end ? end : other.end;
        return first < last;
    }
};

} // namespace nmisafe::base
