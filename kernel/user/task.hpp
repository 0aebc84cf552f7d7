// SPDX-License-Identifier: MIT
// Tasks: code in ring 3, each on a kernel thread.
#pragma once

#include "kernel/memory/address_space.hpp"
#include "kernel/user/signal_context.h"
#include "nmisafe/base/std.hpp"
#include "nmisafe/user/user.hpp"

namespace kernel {

/// How a task came to its end.
enum class task_end : uint32_t {
    none,
    exited,  ///< By the system call.
    faulted, ///< An exception, and no handler for it.
    refused, ///< The kernel refused to return to what the task had made of its frame.
};

/// The system calls of every task, by INT 0x80 or the CPU's own instruction; the number is in
/// (E)AX. All others are the experiment's.
enum class system_call : uintptr_t {
    exit = 0,          ///< RDI (EDI): task::value
    signal_return = 1, ///< RDI (EDI): the signal_context to go on with, as the task says it is
};

struct task {
    address_space* space;
    nmisafe::user::user_frame frame; ///< Its registers to begin with, and at its end.
#ifdef __x86_64__
    uintptr_t fs_base;
    uintptr_t gs_base;
#endif

    /// Where exceptions go on as signals, 0: none; (E)DI is then the vector, (E)SI the
    /// signal_context.
    uintptr_t signal_handler;
    /// System calls that are none of the above. Null: they do nothing.
    void (*on_system_call)(task&, nmisafe::x86::trap_frame&);

    task_end end;
    uintptr_t value;                  ///< exited: its word. refused: a user::refusal.
    uintptr_t vector, error, address; ///< Of the last exception; the address of a page fault.
    uint32_t exceptions;              ///< How many there were.
    uint32_t system_calls;            ///< How many there were, all of them.

    // For the exception that waits for the return to user mode.
    bool is_pending;
};

/// Leads interrupts and exceptions to the entries of user mode and sets their handlers; SYSCALL or
/// SYSENTER works on the CPUs that call it. @context thread, once on each CPU that runs tasks
void set_up_user_mode();

/// The handlers of exceptions in ring 3, for all vectors but NMI; `frame` may be any. False: it is
/// not from user mode. Experiments with handlers of their own call it first. @context thread
bool handle_user_exception(nmisafe::x86::trap_frame& frame);
bool handle_user_page_fault(nmisafe::x86::trap_frame& frame, uintptr_t address);

/// Sets the handlers above for every exception but NMI. @context thread
void set_exception_handlers();

/// Registers with which `ip` is run on a stack that ends at `sp`, all others 0. @context any
nmisafe::user::user_frame make_user_frame(uintptr_t ip, uintptr_t sp);

/// Runs a task to its end. Interrupts are on in it, and then as they were. @context thread
void run_task(task& which);

/// After one was left by other means: as if it had ended. @context thread, interrupts off
void forget_task();

/// The one that runs on this thread, null if none does. @context any
task* current_task();

/// Ends it, from one of its events. @context thread, in a frame from user mode
[[noreturn]] void end_task(task_end how, nmisafe::x86::trap_frame& frame);

/// Reads or writes a task's memory as the task itself might. False: it might not. @context thread
bool copy_from_task(const task& which, void* to, uintptr_t from, size_t size);
bool copy_to_task(const task& which, uintptr_t to, const void* from, size_t size);

} // namespace kernel
