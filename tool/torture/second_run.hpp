// SPDX-License-Identifier: MIT
// What a sweep has found against what a second run, from another start, shows of it.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "tool/torture/report.hpp"

namespace nmisafe::tool::torture {

using occurrence_of_pc = std::pair<std::uint64_t, std::uint64_t>;

// Of a boundary that was an anomaly and that the run has done, too: it is noise if the same holds of it there, and confirmed
// if not; the details are then the second run's, but memory, which only who does them all can compare. Returns those of
// `tried` that the run did not come by, and leaves them as they are. What the run did beside them is added to `more`.
std::set<occurrence_of_pc> compare_with_second_run(sweep_report& report,
                                                   const std::set<occurrence_of_pc>& tried,
                                                   const std::vector<boundary>& shown,
                                                   const std::vector<verdict>& allowed,
                                                   std::vector<boundary>& more);

// Of what no further run came by either. A guest's death stays what it is, not confirmed.
void call_noise(sweep_report& report, const std::set<occurrence_of_pc>& never_seen);

// Memory of the whole sweep against that of a second whole one: what only one of them shows is noise.
void compare_memory(sweep_report& report, const std::vector<boundary>& shown,
                    const std::vector<verdict>& allowed);

} // namespace nmisafe::tool::torture
