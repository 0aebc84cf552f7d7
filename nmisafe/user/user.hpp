// SPDX-License-Identifier: MIT
// User mode: entries from ring 3 and returns to it, in front of the trap module's. README.md shows
// how to use it; layout.h says what the embedding kernel defines.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/return_plan.hpp"
#include "nmisafe/user/user_frame.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::user {

/// The entry point for an IDT gate, in place of trap::entry_address(). An interrupt gate; DPL 3 for
/// #BP and for an INT n that is a system call, 0 for all others. x86-64: NMI, #DF, #MC and #DB have
/// each an IST stack with an ist_top (NMI: see nmi_block.h) at its top.
///
/// Handlers are those of trap::set_handler(). In a frame from user mode (is_from_user()) they run
/// as the thread, on its stack with all of it free, with interrupts off, which they may turn on and
/// must turn off again. NMI, #DB and #MC handlers stay between nmi_enter() and nmi_exit().
uintptr_t entry_address(uint8_t vector);

/// Handles a system call by SYSCALL or SYSENTER. The frame's vector is syscall_vector; all of it
/// may be changed. Runs as other handlers of user mode do. @context thread
using syscall_handler = void (*)(x86::trap_frame&);

/// Work before a return to user mode: signals, rescheduling. Called with interrupts off, before
/// every return but that of an NMI; may turn them on, and returns with them off and nothing more to
/// do. May change the frame, switch threads, or not return. @context thread
using return_work = void (*)(x86::trap_frame&);

/// A frame that must not be returned to: the task has had it made, by a system call or a signal. It
/// is to be changed into one that is all right, or the task ended. Called with interrupts off; a
/// frame that is refused again stops the machine. @context thread
using refused_return = void (*)(x86::trap_frame&, refusal why);

/// @context thread, as trap::set_handler()
void set_syscall_handler(syscall_handler function);
void set_return_work(return_work function);
void set_refused_return(refused_return function);

/// The vector in frames of SYSCALL and SYSENTER: none that an IDT has.
inline constexpr uintptr_t syscall_vector = X86_VECTORS;

/// Lets this CPU take SYSCALL (x86-32: SYSENTER, on a stack of its own, or with isolated page tables
/// on the entry stack); the selector is that of the kernel's code, 8 below the stack's. @context
/// boot of that CPU, interrupts off
#ifdef __x86_64__
void set_up_syscalls(uint16_t kernel_code_selector);

/// Tells the latch of a CPU's NMIs of those from user mode. @context as trap::set_up_nmi_block(),
/// after it
void set_up_nmi(trap::nmi_block& block);

#elif defined NMISAFE_PAGE_TABLE_ISOLATION
/// words.entry_stack is set already.
void set_up_syscalls(uint16_t kernel_code_selector, const cpu_words& words);
#else
void set_up_syscalls(uint16_t kernel_code_selector, sysenter_top& top);
#endif

#ifdef NMISAFE_SHADOW_STACK
/// The shadow stack of the thread that runs next, for its events from user mode, on a CPU that has
/// shadow stacks: the address of a token, which lies where the shadow stack is when there is no
/// frame from user mode, with room below, and is not busy when enter() is called. It is 24 above a
/// multiple of 32, as CPUs demand of it where the privilege changes. From then on the entries make
/// it busy and free it. Who leaves a frame for good leaves the shadow stack below the token too, and
/// the token. Panics if it lies elsewhere in its 32 bytes; 0: the thread has none. [intel/vol2 INT n]
/// @context thread, interrupts off, or boot of that CPU
void set_shadow_stack(cpu_words& words, uintptr_t token);
#endif

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
/// The CR3 of the thread that runs next, in the kernel and in user mode: layout.h says what the
/// latter must have. CR3 itself is the caller's to load; an NMI in between may run with either.
/// Both stay valid until the next call.
/// @context thread, interrupts off, or boot of that CPU
#ifdef __x86_64__
void set_page_tables(cpu_words& words, trap::nmi_block& block, uintptr_t kernel, uintptr_t task);
#else
void set_page_tables(cpu_words& words, uintptr_t kernel, uintptr_t task);
#endif
#endif

/// Goes to user mode for the first time. The frame lies at the end of the running thread's stack,
/// directly below cpu_words::stack_top. @context thread
[[noreturn]] void enter(user_frame& frame);

#ifdef __x86_64__
/// What SYSCALL clears: what the entry must not be stepped, interrupted or misled by. With NT the
/// IRET to user mode would fault, IOPL is nobody's. [intel/vol2 SYSCALL]
inline constexpr uintptr_t syscall_mask = X86_FLAGS_TF | X86_FLAGS_IF | X86_FLAGS_DF |
                                          X86_FLAGS_IOPL | X86_FLAGS_NT | X86_FLAGS_RF |
                                          X86_FLAGS_AC;
#endif

} // namespace nmisafe::user
