// SPDX-License-Identifier: MIT
// What supervisor shadow stacks ask of the entries from user mode: macros of nothing unless the kernel is built with
// NMISAFE_SHADOW_STACK.
//
// An event in ring 3 begins on the shadow stack in IA32_PL0_SSP, or that of its IST, and makes its token busy.
// Nothing is pushed, so SSP is the token's address; it is so again at the IRET to ring 3, which makes the token free.
// SYSCALL leaves SSP at 0 and SYSRET looks at none: SETSSBSY takes the thread's, CLRSSBSY gives it back, and a CALL or
// an event without an IST between them and user mode would be a double fault.
// [intel/vol3 6.14; intel/vol2 IRET, SYSCALL, SYSRET, SETSSBSY, CLRSSBSY; intel/vol1 CET]
#ifndef NMISAFE_USER_SHADOW_STACK_X86_64_H
#define NMISAFE_USER_SHADOW_STACK_X86_64_H

#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/shadow_stack_x86_64.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_macros_x86_64.h"

#ifdef __ASSEMBLER__

/// Behind SYSCALL, GS the kernel's: SSP is 0, so RDSSP cannot tell whether there are shadow stacks. Changes the flags.
.macro take_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_USER_WITHOUT_SHADOW_ENTRY, .Ltaken\@, nmisafe_user_removed
    cmpq    $0, %gs:CPU_WORD(USER_SHADOW_STACK)
    je      .Ltaken\@
    setssbsy
.Ltaken\@:
#endif
.endm

/// Before SYSRET: SSP, the token's address, becomes 0. RCX is lost, and the flags.
.macro give_back_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_USER_WITHOUT_SHADOW_EXIT, .Lgiven\@, nmisafe_user_removed
    read_shadow_stack none=.Lgiven\@
    clrssbsy (%rcx)
.Lgiven\@:
#endif
.endm

/// From the shadow stack of an IST, where nothing is, to the thread's. That first: SSP is never 0, and what returns to
/// here in between can write below it. RCX is lost, and the flags.
.macro move_to_thread_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_USER_WITHOUT_SHADOW_MOVE, .Lmoved\@, nmisafe_user_removed
    read_shadow_stack none=.Lmoved\@
    setssbsy
    wrssq   %rcx, (%rcx)                // the IST's is not busy
.Lmoved\@:
#endif
.endm

/// Takes off what the fault of an IRET to ring 3 has pushed. RCX is lost, and the flags.
.macro drop_shadow_frame
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_USER_WITHOUT_SHADOW_FAULT, .Ldropped\@, nmisafe_user_removed
    read_shadow_stack none=.Ldropped\@
    movl    $X86_SHADOW_SIZE / 8, %ecx
    incsspq %rcx
.Ldropped\@:
#endif
.endm

/// What an IRET within ring 0 pops: it goes to the address at (%rsp), with SSP as it is here, and the IRET can then be
/// made. That SSP is one word below the caller's, lest the IRET take the thread's token there for that of an IST. SSP
/// goes down by CALLs, so that no event pushes over the words. Uses RAX, RCX.
.macro push_shadow_frame
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lpushed\@
    .rept   X86_SHADOW_SIZE / 8
    balance_return_stack
    .endr
    movl    %cs, %eax
    wrssq   %rax, X86_SHADOW_CS - X86_SHADOW_SIZE(%rcx)
    movq    (%rsp), %rax
    wrssq   %rax, X86_SHADOW_IP - X86_SHADOW_SIZE(%rcx)
    wrssq   %rcx, X86_SHADOW_SSP - X86_SHADOW_SIZE(%rcx)
.Lpushed\@:
#endif
.endm

// NMIs from user mode. The table of the NMI's shadow stacks is as far on as the IST entry is lowered, as for those of
// the trap module (nmi_shadow_stack_x86_64.h); what they run on is the thread's. RBX = P.

/// For the next NMI, before the IST entry is raised. RCX is lost.
.macro raise_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    movq    NMI_BLOCK_SHADOW_STACK(%rbx), %rcx
    movq    %rcx, NMI_BLOCK_SSP(%rbx)
#endif
.endm

/// From the shadow stack of a nested NMI, which has interrupted the exit, to the thread's. Uses RAX, RCX, RSI.
.macro leave_for_thread_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lleft\@
    movq    X86_SHADOW_SSP(%rcx), %rax
    leave_shadow_stack words=rax, scratch=rsi
.Lleft\@:
#endif
.endm

/// Undoes raise_shadow_stack. RCX is lost.
.macro lower_shadow_stack_again
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_WITHOUT_SHADOW_LATCH, .Lkept\@
    movq    NMI_BLOCK_SHADOW_STACK(%rbx), %rcx
    addq    $NMI_SHADOW_STRIDE, %rcx
    movq    %rcx, NMI_BLOCK_SSP(%rbx)
.Lkept\@:
#endif
.endm

#endif // __ASSEMBLER__
#endif
