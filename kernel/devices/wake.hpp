// SPDX-License-Identifier: MIT
// Waking CPUs that sleep.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Lets a CPU that sleeps look for work. @context any but NMI
void wake(uint32_t cpu_id);

/// One round of waiting for a CPU, which wakes it once in each millisecond since `begin` (ticks()):
/// a wake-up can be lost. `wakes` counts them, from 0. @context thread
void wake_again(uint32_t cpu_id, uint32_t begin, uint32_t& wakes);

} // namespace kernel
