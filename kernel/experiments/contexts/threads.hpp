// SPDX-License-Identifier: MIT
// The paths of `threads` that have a file of their own.
#pragma once

namespace kernel {

void wait_for_sections(); // grace_periods.cpp
void let_a_cpu_join();    // joining.cpp

} // namespace kernel
