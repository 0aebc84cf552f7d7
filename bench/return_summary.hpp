// SPDX-License-Identifier: MIT
// The table of return_bench and its goals.
#pragma once

#include "bench/goals.hpp"

namespace nmisafe::bench {

/// Prints per setting: median, median less the setting's baseline, and both against iretq.
void print_return_table(std::ostream& out, const medians& found);

/// Ratios of raw medians, nothing subtracted.
extern const goal_set return_goals;

} // namespace nmisafe::bench
