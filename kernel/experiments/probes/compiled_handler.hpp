// SPDX-License-Identifier: MIT
// An NMI handler with all it calls, as the compiler made it, for kprobe-in-nmi to probe.
#pragma once

#include "kernel/experiments/shared/shared_word.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/trap_frame.h"

extern "C" {
/// Its instructions, from the first function's first to the last one's last (boot/sections.ld).
extern const char kernel_probed_begin[], kernel_probed_end[];
}

namespace kernel {

/// Calls entered_compiled_handler(), then computes compiled_result from `compiled_input`, always by
/// the same instructions. @context nmi; any
void compiled_handler(nmisafe::x86::trap_frame& frame);

/// The first thing that the handler does, outside of the code to be probed. kprobe_compiled.cpp
void entered_compiled_handler();

extern shared_word<uint32_t> compiled_input;
extern volatile uint64_t compiled_result;

/// The path `compiled` of kprobe-in-nmi: prints its row. @context thread, CPU 0, interrupts off
void probe_compiled_handler(); // kprobe_compiled.cpp

} // namespace kernel
