// SPDX-License-Identifier: MIT
// How a panic comes to be alone.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Stops all other CPUs by NMI, wherever they are, and waits two seconds at most: a CPU that is in
/// an NMI handler takes no other one before that has returned. Those that have not stopped by then
/// are put out of action by INIT, which asks nothing of them. `id` is the CPU that runs this;
/// nothing of its own is asked for, GS among it. Returns a bit for each CPU that took INIT.
/// @context any, no return to normal work afterwards
uint32_t stop_other_cpus(uint32_t id);

/// The end of CPU `id`, which runs this: it counts as stopped. @context any
[[noreturn]] void stay_stopped(uint32_t id);

} // namespace kernel
