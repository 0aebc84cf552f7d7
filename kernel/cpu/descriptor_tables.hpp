// SPDX-License-Identifier: MIT
// Each CPU's GDT and TSS, and the one IDT that all share.
#pragma once

#include "kernel/boot/layout.h"
#include "kernel/cpu/per_cpu.hpp"

namespace kernel {

inline constexpr uint16_t code_selector = KERNEL_CODE_SELECTOR;
inline constexpr uint16_t data_selector = KERNEL_DATA_SELECTOR;
/// The same segment as code_selector under another selector: for frames whose CS differs.
inline constexpr uint16_t alias_code_selector = KERNEL_ALIAS_CODE_SELECTOR;
/// The same segment as data_selector: for events that find another selector loaded.
inline constexpr uint16_t spare_data_selector = KERNEL_SPARE_DATA_SELECTOR;

/// Fills in a CPU's GDT and TSS. @context boot, or the thread that starts that CPU
void prepare_descriptor_tables(cpu& owner);

/// Loads them, GS and the IDT on the CPU that runs this: afterwards this_cpu() works and exceptions
/// reach the library. Until then no breakpoint may be hit: KERNEL_JOIN_TEXT. @context boot of that
/// CPU, interrupts off
void load_descriptor_tables(cpu& mine);

namespace internal {
nmisafe::x86::table_register interrupt_table_register();
}

/// Puts all gates of the IDT in place, none with a stack of its own. @context boot, first CPU
void set_up_interrupt_table();

/// Leads all gates to the entries of user mode (nmisafe/user), which ring 3 may use for #BP and for
/// the system call's vector. @context thread, with nothing that could use them meanwhile
void use_user_entries();

/// Lets ring 3 use all gates by INT n, or those above alone again: for tests. @context as above
void open_all_gates(bool open);

/// Where the running thread's frames from user mode end: its kernel stack while it is in ring 3. A
/// multiple of 16. @context any, interrupts off
void set_user_stack_top(cpu& mine, uintptr_t top);

#ifdef __x86_64__
/// Sets CR4.FSGSBASE: #DB, #MC and #DF find GS by RDGSBASE from here on, and NMIs if NMISAFE_FSGSBASE is defined.
/// @context boot of `mine`, on it
void use_fsgsbase(cpu& mine);
#endif

/// Lets this CPU take SYSCALL, or SYSENTER, which begins on a stack of its own (ignored on x86-64, and
/// where page tables are isolated). @context thread, on `mine`
void set_up_fast_system_calls(cpu& mine, uintptr_t sysenter_stack);

/// Gives a CPU the stack for one kind of event, the NMI's first. Effective on x86-64 once
/// load_task() and use_interrupt_stacks() were called. @context boot, before that CPU runs or with
/// nothing that could use the stack
void set_interrupt_stack(cpu& owner, interrupt_stack which, uintptr_t top);

/// Loads the TSS of the CPU that runs this, if load_descriptor_tables() came before its stacks.
/// @context boot, first CPU
void load_task();

/// From now on NMI, #DF, #MC and #DB switch stacks (x86-32: #DF switches tasks). Every running CPU
/// must have its stacks. `breakpoint_on_nmi_stack` is a control: #BP shares the NMI's IST, which
/// lets a breakpoint in an NMI run over the NMI's frame; x86-64 only. @context boot, first CPU
void use_interrupt_stacks(bool breakpoint_on_nmi_stack);

} // namespace kernel
