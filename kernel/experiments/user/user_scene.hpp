// SPDX-License-Identifier: MIT
// What the experiments with tasks share: one address space with a few pages, tasks whose code is a
// few bytes, and a look at what the kernel finds at each of their events.
#pragma once

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/user/task.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

// Pages of every task here, by what it may do with them.
inline constexpr uintptr_t user_code = 0x400000;
inline constexpr uintptr_t user_data = 0x401000; ///< two pages, of which the stack uses the end
inline constexpr uintptr_t user_data_end = 0x403000;
inline constexpr uintptr_t user_apic = 0x403000;      ///< the local APIC: a task may raise NMIs
inline constexpr uintptr_t user_lazy = 0x404000;      ///< not mapped until it faults
inline constexpr uintptr_t user_constants = 0x405000; ///< readable only

/// The scene, with user mode's entries, and the address space above. @context thread, CPU 0
void set_user_scene(void (*nmi_body)(nmisafe::x86::trap_frame&));

/// Instructions for a task to run.
struct user_instructions {
    const uint8_t* bytes;
    size_t size;
};
template <size_t size>
constexpr user_instructions instructions(const uint8_t (&bytes)[size]) {
    return {bytes, size};
}

/// INT3, a NOP, a jump over the handler of a signal, and that handler: it passes its context to
/// system call 1.
inline constexpr uint8_t signal_code[] = {0xcc, 0x90, 0xeb, 0x0a,
#ifdef __x86_64__
                                          0x48, // mov %rsi, %rdi
#else
                                          0x90, // mov %esi, %edi
#endif
                                          0x89, 0xf7, 0xb8, 0x01, 0x00, 0x00, 0x00, 0xcd, 0x80};
inline constexpr uintptr_t signal_handler_offset = 4;

/// A task that runs the instructions, followed by UD2, with a different pattern in every register
/// and in both bases. They lie so many bytes into the page. @context thread
task make_task(user_instructions code, uintptr_t offset = 0);

/// mov %esi, (%rdi), which by the registers that prepare_to_raise_nmi() gives the task raises an
/// NMI; nops.
inline constexpr uint8_t raise_nmi_code[] = {0x89, 0x37, 0x90, 0x90};
void prepare_to_raise_nmi(task& which);

/// Sees to `user_data` being all 0, and to `user_lazy` not being mapped. @context thread
void reset_user_memory();

/// Maps `user_lazy`, from its fault. @context thread
void map_lazy_user_page();

/// Maps the last page below the end of the user's half, with the code of make_task()'s latest at
/// its end.
/// @return that end. @context thread
uintptr_t map_last_user_page();

#ifdef __x86_64__
/// The end of this CPU's NMI stack: where its frames begin. @context any
uintptr_t nmi_stack_end();
#endif

/// Where the task's memory at an address is. @context thread
void* in_user_memory(uintptr_t address);

/// Fails unless this is how the kernel must find things at an event of user mode: its own GS base,
/// the task's beside it, the frame at the end of the thread's stack, DF clear. @context thread
void expect_kernel_state(const nmisafe::x86::trap_frame& frame, const task& which);

/// Makes `which`'s GS base one that the kernel survives if it takes it for its own: an image of
/// this CPU's data that says it is elsewhere. @context thread
void give_decoy(task& which);

/// Whether GS is the kernel's; if not it is made so, and that is a failure. @context any
bool expect_own_gs(const char* what);

/// Runs a task, or as much of it as goes well: false if a handler has found the kernel in a state
/// from which it cannot go on, and has called abandon_task(). @context thread
bool run_task_guarded(task& which);
[[noreturn]] void abandon_task();

/// Fails unless the task has ended with an exception.
void expect_fault(const task& ended, uintptr_t vector, uintptr_t error, uintptr_t ip);

/// Fails unless the task has come to its end by the UD2 behind its code, with all registers as they
/// were but those in `changed` (general registers by their place in the frame).
void expect_end(const task& begun, const task& ended, user_instructions code, uint32_t changed = 0);

/// The bit of a register for the above.
#define USER_REGISTER(name) (1U << (offsetof(nmisafe::x86::trap_frame, name) / sizeof(uintptr_t)))

} // namespace kernel
