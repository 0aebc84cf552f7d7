// SPDX-License-Identifier: MIT
// What every-instruction's paths have in common.
#pragma once

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

struct swept_path {
    const char* name;
    void (*body)(nmisafe::x86::trap_frame&); // of the NMI handler
    sweep plan;
    const char* begin; // the window
    const char* end;
    bool delivered_at_once; // the NMI lands at the boundary; else it is pended there
    uint8_t entered = 0;    // a vector: one must land before the first instruction of its entry
};

/// Sweeps a path, with the scene's handlers or, if it is not null, with another for page faults,
/// and prints its row; with mode=trace walks it once. @context thread, CPU 0, interrupts off
void sweep_or_trace(const swept_path& which,
                    nmisafe::trap::page_fault_handler on_page_fault = nullptr);

/// Handlers that have run in this pass, and where the first one landed.
extern shared_count handlers_in_pass;

/// For a body: counts itself. True for the first of a pass; the second must wait until it has
/// ended.
bool first_of_pass(const nmisafe::x86::trap_frame& frame);

/// A body: the first of a pass raises the second; each hits a breakpoint. @context nmi
void raise_second_and_hit_breakpoint(nmisafe::x86::trap_frame& frame);

/// For a plan: nothing has been handled yet; the address of the next handler is recorded.
void begin_pass(bool record);
bool both_handled();

/// Two NMIs were raised. They may be handled as one only if the one-shot fired on the very boundary
/// where the other one was about to be delivered, which a few passes of a row can: the hardware
/// holds one. Null: they may not.
void expect_two_handlers(const char* raised_at);

/// vmalloc_paths.cpp: the paths through vmalloc's faults.
void sweep_vmalloc_paths();

} // namespace kernel
