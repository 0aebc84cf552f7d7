// SPDX-License-Identifier: MIT
// The tasks of trace-example: code in ring 3 that computes, calls the kernel and faults.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// Sets user mode up on all CPUs, and an address space for each CPU's task; its code is known to
/// readers of the trace. `work`: what the kernel does for a task that calls; false ends the task.
/// @context thread, CPU 0, before any task or tick
void set_up_example_tasks(bool (*work)());

/// A thread's function: runs this CPU's task to its end. @context thread
void run_example_task(void*);

/// For the handler of page faults: maps the task's page, if it was that. @context trap
bool handle_example_task_fault(nmisafe::x86::trap_frame& frame, uintptr_t address);

/// Tasks that came to their end as they should, of all CPUs.
uint32_t example_tasks_ended();

} // namespace kernel
