// SPDX-License-Identifier: MIT
// What a run is held against. Each goal has a control beside it that must miss it.
#pragma once

#include "bench/medians.hpp"

#include <iosfwd>
#include <span>

namespace nmisafe::bench {

/// A bound on one benchmark's median compared with that of another.
struct goal {
    const char* name;
    double most;
    const char* reference;
    const char* control; ///< Must miss the goal, or the run says nothing.
};

struct goal_set {
    /// How a median is compared with its reference's: quotient() or difference().
    std::optional<double> (*compare)(std::optional<double> median, std::optional<double> reference);
    const char* phrase; ///< Between the figure and the reference's name, as "of".
    std::span<const goal> goals;
};

enum class verdict {
    met,
    missed,
    control_failed, ///< A goal's control meets it: this run says nothing.
    not_measured,   ///< A benchmark is missing.
};

/// Holds the medians against the goals, and says on `out` what was found.
verdict judge(std::ostream& out, const medians& found, const goal_set& set);

} // namespace nmisafe::bench
