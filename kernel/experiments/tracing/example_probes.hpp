// SPDX-License-Identifier: MIT
// What trace-example has of markers and kprobes: they are events without a line of code for it.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Turns the markers of channel "example" on and puts a probe on probed_function(). #BP's handler
/// is on_patched_breakpoint(), or asks it first. @context thread, CPU 0, before other threads run
void start_example_probes();

/// Passes the marker and the probe, once each. @context thread
void pass_example_probes(uint32_t turn);

/// Turns them off and counts their events. @context thread, CPU 0, when no other thread passes them
void stop_example_probes();

} // namespace kernel
