// SPDX-License-Identifier: MIT
// Kernel threads: preemptive, each on the one CPU it was created on, run in turn.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/memory/address_space.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/context/count.hpp"

namespace kernel {

using thread_function = void (*)(void*);

/// Makes what the CPU that runs this is executing its first thread. @context boot of that CPU
void set_up_threads();

/// Starts a thread on a CPU, in an address space (null: the kernel's own), called `name` in traces.
/// It ends by returning.
/// Panics when there are too many. @context thread
thread* create_thread(uint32_t cpu_id, thread_function function, void* argument,
                      address_space* space = nullptr, const char* name = "thread");

/// Waits until a thread of create_thread() has ended, and frees it: once for each. @context thread
void join(thread* which);

/// Ends the running thread. @context thread, one of create_thread()
[[noreturn]] void exit();

/// Lets the next thread of this CPU run, if there is one. @context thread, preemption on
void yield();

/// The address space of the thread that runs on this CPU, as the scheduler has it: in the middle of
/// a switch CR3 may hold the other one. @context any
const address_space& thread_space();

struct task; // kernel/user/task.hpp

/// Lets the running thread run a task, in the task's address space, and undoes that. @context
/// thread, interrupts off
void begin_task_on_thread(task& which, address_space& space);
void end_task_on_thread();

/// The task of the running thread, null if it runs none. @context any
task* thread_task();

/// Where the running thread's frames from user mode end. Setting it takes effect at once. @context
/// thread, interrupts off
uintptr_t thread_user_stack_top();
void set_thread_user_stack_top(uintptr_t top);

#ifdef NMISAFE_SHADOW_STACK
/// The token of the running thread's shadow stack for them, where there are shadow stacks. Takes
/// effect at once. @context thread, interrupts off
void set_thread_user_shadow_stack(uintptr_t token);
#endif

/// This CPU has other threads to run. @context any
bool others_ready();

/// Tick interrupts that this CPU has had. @context any
uint32_t tick_count();

/// Notes that the running thread's turn is over. @context irq
void note_tick();

/// Switches threads if a turn is over and nothing forbids it: not in an interrupt, an NMI or a
/// section without preemption. @context thread or the end of an interrupt, interrupts off
void preempt_if_due();

/// Keeps this thread from being switched away. Nests. @context any
[[gnu::always_inline]] inline void preempt_disable() {
    nmisafe::context::preempt_disable();
}

/// Ends preempt_disable(), and makes up for a switch that was due meanwhile. @context thread
void preempt_enable();

} // namespace kernel
