// SPDX-License-Identifier: MIT
// What the files of trace-in-nmi share.
#pragma once

#include "kernel/experiments/tracing/trace_journal.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// For a breakpoint's handler: a fault in the middle of an event. @context any
void write_around_fault();

/// The scene's, which writes an event behind its mend. @context any
bool trace_page_fault_of_scene(nmisafe::x86::trap_frame& frame, uintptr_t address);

/// For a plan: an empty journal, which `fill` writes into. @context thread, CPU 0
void prepare_trace(nmisafe::ring_buffer::mode which, void (*fill)());

/// Fails unless there are the events of two NMIs, each with a breakpoint's and a page fault's, and so many of the window's;
/// and all of them read or counted. @context thread, CPU 0
void check_trace(uint32_t events_of_window);

/// The paths with a breakpoint that was patched into the code. @context thread, CPU 0, interrupts off
void trace_at_patches();

} // namespace kernel
