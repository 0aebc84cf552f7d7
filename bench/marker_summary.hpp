// SPDX-License-Identifier: MIT
// The table of marker_bench and its goals.
#pragma once

#include "bench/goals.hpp"

namespace nmisafe::bench {

/// Prints per technique and setting the median, and what it is more than the empty loop's.
void print_marker_table(std::ostream& out, const medians& found);

/// Nanoseconds that a site adds to the empty loop.
extern const goal_set marker_goals;

} // namespace nmisafe::bench
