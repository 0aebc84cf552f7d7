// SPDX-License-Identifier: MIT
/// A hit by who has its arguments as words already: for statements of other languages than C++.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/marker/format.hpp"
#include "nmisafe/marker/internal/hits.hpp"
#include "nmisafe/marker/marker.hpp"

namespace nmisafe::marker {

/// The words of a hit: as many as the marker has arguments matter, each zero-extended from the size
/// that its type says.
using hit_words = uint64_t[most_arguments];

/// Calls the probes of a marker, as a statement does that is on. One hit too many is counted.
/// @context any
inline void hit_with(const marker& which, const hit_words& words) {
    const auto block = [&]<size_t... Index>(std::index_sequence<Index...>) {
        return internal::argument_block<most_arguments>(which, words[Index]...);
    }
    (std::make_index_sequence<most_arguments>());
    if (!hits::call(which, block.head)) [[unlikely]]
        internal::count_dropped();
}

} // namespace nmisafe::marker
