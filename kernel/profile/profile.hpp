// SPDX-License-Identifier: MIT
// Samples of what the CPUs do, by NMIs that come whatever they do.
#pragma once

#include "kernel/boot/layout.h"
#include "nmisafe/base/std.hpp"
#include "nmisafe/profiler/chain.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// Where frames of calls are: on the stacks, each in a slot, and in tasks' memory. Neither has a
/// device's registers but where a task has mapped them itself.
inline constexpr nmisafe::profiler::chain_rules profiled_stacks{
    .kernel = {{KERNEL_PAGES_BASE, KERNEL_PAGES_BASE + KERNEL_STACK_SLOTS* KERNEL_STACK_SLOT},
               KERNEL_STACK_SLOT},
#ifdef __x86_64__
    .user = {{0x1000, uintptr_t{1} << 47}, 0x10000},
#else
    .user = {{0x1000, KERNEL_DIRECT_BASE}, 0x10000},
#endif
};

/// Raises an NMI on each CPU, again and again, whose handler calls take_periodic_sample(). With
/// performance counters it is so much time that the CPU works, with the HPET, which the caller
/// leaves alone, so much after the sample before. @context thread, CPU 0, interrupts on
void start_profiling(uint32_t microseconds);

/// No more NMIs but those on their way. @context as above
void stop_profiling();

/// Begins the next period and writes a sample, if that event is on. @context nmi
void take_periodic_sample(const nmisafe::x86::trap_frame& frame);

/// Samples of all CPUs, written or lost. @context any
uint32_t samples_taken();

/// For the handlers of page faults and #GP, last of all. True: it was a bad frame pointer, and the
/// chain ends there. @context any
bool handle_profiling_fault(nmisafe::x86::trap_frame& frame);

} // namespace kernel
