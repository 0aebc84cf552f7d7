// SPDX-License-Identifier: MIT
// The trace of this machine, if the command line asks for one.
#pragma once

#include "kernel/common/text.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

/// Makes buffers, descriptor and clocks, and turns all events of the kernel on: `mode` is "on",
/// "overwrite", or empty for no trace. Panics if something is missing. @context boot, first CPU,
/// interrupts on, all CPUs started
void set_up_trace(text mode);

/// Turns all events off, ends the packets that are being written, and says in memory that the
/// machine has ended; nothing if there is no trace. Interrupts are on afterwards.
/// @context thread, first CPU
void end_trace();

/// Turns all events off and ends the packets, of all CPUs. Interrupts are on afterwards.
/// @context as end_trace()
void stop_tracing();

} // namespace kernel
