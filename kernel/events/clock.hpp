// SPDX-License-Identifier: MIT
// The clock of a trace on this CPU: the TSC, or one that is held to the HPET.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/clock/trace_clock.hpp"

namespace kernel {

/// The HPET's counter, all of it. @context any
uint64_t reference_ticks();

/// How many HPET ticks make a second. @context any
uint64_t reference_frequency();

/// Starts this CPU's clock: a guess of the rate, from some milliseconds. @context thread
void start_trace_clock();

/// The frequency of what trace_clock() reads: after start_trace_clock() on this CPU. @context any
uint64_t trace_frequency();

/// @context any, on a CPU that stays the same
uint64_t trace_time();

/// Once a tick, on each CPU while there is a trace: compares the clock with the HPET and, now and
/// then, ends the packets that are being written, for readers. @context irq
void keep_trace();

/// Ends the packets of this CPU. @context thread, interrupts off, or irq
void close_packets();

} // namespace kernel
