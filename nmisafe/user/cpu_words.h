// SPDX-License-Identifier: MIT
// The words that the entry from user mode needs of each CPU, and what lies above the frames on the
// stacks of #DB, #MC and #DF: offsets for assembly, structs for C++; assertions hold them together.
#ifndef NMISAFE_USER_CPU_WORDS_H
#define NMISAFE_USER_CPU_WORDS_H

#ifdef __x86_64__
#define USER_STACK_TOP 0x00
#define USER_SCRATCH 0x08
#define USER_KERNEL_TABLES 0x10             // with NMISAFE_PAGE_TABLE_ISOLATION
#define USER_TASK_TABLES 0x18
#define USER_ENTRY_STACK 0x20
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#define USER_SHADOW_STACK 0x28              // with NMISAFE_SHADOW_STACK
#else
#define USER_SHADOW_STACK 0x10
#endif
#define IST_TOP_GS_BASE 0x00
#define IST_TOP_HAS_FSGSBASE 0x08
#else
#define USER_STACK_TOP 0x00
#define USER_KERNEL_TABLES 0x04             // with NMISAFE_PAGE_TABLE_ISOLATION
#define USER_TASK_TABLES 0x08
#define USER_ENTRY_STACK 0x0c
#endif

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"

namespace nmisafe::user {

/// One per CPU, at NMISAFE_USER_CPU, on memory that is always mapped, in the user's page tables too.
struct cpu_words {
    /// The end of the running thread's frames from user mode, a multiple of 16. The TSS's RSP0
    /// (x86-32: ESP0) is the same, but with isolated page tables.
    uintptr_t stack_top;
#ifdef __x86_64__
    uintptr_t scratch; ///< The user's RSP, from SYSCALL until it is in the frame, and before SYSRET.
#endif
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    uintptr_t kernel_tables; ///< CR3 of the running thread in the kernel: set_page_tables().
    uintptr_t task_tables;   ///< And in user mode.
    /// Where the TSS's RSP0 (ESP0) points, for ever: the end of a stack of which smallest_entry_stack bytes are mapped
    /// in user mode's tables. Here events begin and returns end. A multiple of 16. On x86-32 it is a whole stack: an
    /// NMI, #DB or #MC that lands on it runs its handler below those bytes, so it needs room for a
    /// trap::smallest_stack each, and for what the handlers take.
    uintptr_t entry_stack;
#endif
#ifdef NMISAFE_SHADOW_STACK
    /// What IA32_PL0_SSP holds while this thread runs, 0 on a CPU without shadow stacks: set_shadow_stack().
    uintptr_t shadow_stack;
#endif
};
static_assert(offsetof(cpu_words, stack_top) == USER_STACK_TOP);

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
static_assert(offsetof(cpu_words, kernel_tables) == USER_KERNEL_TABLES &&
              offsetof(cpu_words, task_tables) == USER_TASK_TABLES);
static_assert(offsetof(cpu_words, entry_stack) == USER_ENTRY_STACK);

/// What user mode's tables map of the entry stack. x86-64: a frame, the fault of the IRET that pops it, and what the
/// return of an #MC there writes. x86-32: also the frames of an NMI, #DB and #MC that land there and of those that
/// land in their exits; behind them they have changed CR3, but go on below, where the stack has room for all that an
/// NMI takes.
#ifdef __x86_64__
inline constexpr uint32_t smallest_entry_stack = 256;
#else
inline constexpr uint32_t smallest_entry_stack = 512;
#endif
#endif

#ifdef __i386__
/// At the top of the stack that SYSENTER loads, one for each CPU, with room below for all that an NMI
/// takes: one may land before the entry's first instruction, which goes from here to the thread's stack. With
/// isolated page tables SYSENTER loads cpu_words::entry_stack, and there is none of these.
struct sysenter_top {
    uint32_t stack_top; ///< As cpu_words::stack_top.
};
#endif

#ifdef __x86_64__
static_assert(offsetof(cpu_words, scratch) == USER_SCRATCH);
#ifdef NMISAFE_SHADOW_STACK
static_assert(offsetof(cpu_words, shadow_stack) == USER_SHADOW_STACK);
#endif

/// At the address that the IST entry of #DB, #MC and #DF points to, for each its own, just above the
/// frame: how these find the CPU, whatever GS is. 16-byte aligned, always mapped.
struct ist_top {
    uintptr_t gs_base;
    uintptr_t has_fsgsbase; ///< 1: CR4.FSGSBASE is set on this CPU.
};
static_assert(sizeof(ist_top) == 16 && offsetof(ist_top, gs_base) == IST_TOP_GS_BASE);
static_assert(offsetof(ist_top, has_fsgsbase) == IST_TOP_HAS_FSGSBASE);
#endif

} // namespace nmisafe::user

#endif // __ASSEMBLER__
#endif
