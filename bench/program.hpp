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
};

/// The program: measures, prints the table and judges. With --check it runs short, up to three
/// times, and fails unless the goals are met in one run. @return its exit status: 1 if goals were
/// missed, 2 if something was not measured.
int run(int argc, char** argv, const suite& what);

} // namespace nmisafe::bench
