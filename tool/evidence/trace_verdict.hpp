// SPDX-License-Identifier: MIT
// The part of the verdict that rests on the logged runs: coverage and costs.
#pragma once

#include "tool/evidence/verdict.hpp"

namespace nmisafe::tool {

// What is wrong with the trace run as a whole, or empty. `console` is the normal run's.
std::string trace_failure(const guest_run& run, const console_content& console,
                          const trace_outcome& trace);

// The windows of the rows not marked delivered=1: where their NMIs are raised, no saved RIP says,
// so that they need a raises run. `console` is the normal run's.
std::map<std::string, pended_window> pended_windows(const console_content& console,
                                                    const trace_outcome& trace);

// What is wrong with the raises run as a whole, or empty. `console` is the normal run's.
std::string raises_failure(const guest_run& run, const console_content& console,
                           const raises_outcome& raises);

// Sets the row's coverage, puts it in the place of the guest's own count of boundaries, and says
// what it lacks; empty when nothing does, or when the guest has no windows at all.
std::string coverage_failure(const console_content& console, const trace_outcome& trace,
                             const raises_outcome* raises, judged_row& judged);

std::vector<cost> costs_of(const guest_run& run, const execution_analysis& analysis);

} // namespace nmisafe::tool
