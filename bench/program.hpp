// SPDX-License-Identifier: MIT
// What the benchmark programs have in common: `--check`, attempts, the table, the exit status.
#pragma once

#include "bench/goals.hpp"

namespace nmisafe::bench {

struct suite {
    void (*register_all)();
    void (*print_table)(std::ostream& out, const medians& found);
    goal_set goals;
    const char* judged; ///< Regular expression of what --check runs.
    /// One that takes always the same on a CPU that does nothing else, or null: if its own figures
    /// lie far apart, an attempt that misses the goals says nothing.
    const char* steady = nullptr;
};

inline constexpr int too_noisy = 77; ///< Exit status: every attempt was such a one.

/// The program: measures, prints the table and judges. With --check it runs short, up to eight
/// times, and fails unless the goals are met in one run. @return its exit status: 1 if goals were
/// missed, 2 if something was not measured, too_noisy if they were missed in noise alone.
int run(int argc, char** argv, const suite& what);

} // namespace nmisafe::bench
