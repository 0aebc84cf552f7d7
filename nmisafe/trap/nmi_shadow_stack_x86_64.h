// SPDX-License-Identifier: MIT
// The shadow stacks of the NMI's levels (nmi_x86_64.S): macros of nothing unless the kernel is built with
// NMISAFE_SHADOW_STACK. Level 0's is the one that the C++ side runs on; the others lie upwards from it, a stride apart.
#ifndef NMISAFE_TRAP_NMI_SHADOW_STACK_X86_64_H
#define NMISAFE_TRAP_NMI_SHADOW_STACK_X86_64_H

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/shadow_stack_x86_64.h"

#ifdef __ASSEMBLER__

/// A further NMI takes the shadow stack above: that of the one in progress is busy, and the CPU would make a
/// #GP in its place. Changes the flags only.
.macro lower_shadow_stack word:vararg
#ifdef NMISAFE_SHADOW_STACK
    jump_if_removed NMISAFE_WITHOUT_SHADOW_LATCH, .Lkept\@
    addq    $NMI_SHADOW_STRIDE, \word
.Lkept\@:
#endif
.endm

/// Undoes what a nested NMI has lowered. RDX = P.
.macro raise_nested
    addq    $NMI_STRIDE, NMI_BLOCK_IST(%rdx)
#ifdef NMISAFE_SHADOW_STACK
    subq    $NMI_SHADOW_STRIDE, NMI_BLOCK_SSP(%rdx)
#endif
.endm

/// Keeps the interrupted SSP in \word: an NMI in the exit may push over it. Uses RAX, RCX.
.macro keep_interrupted_ssp word:vararg
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lkept\@
    movq    X86_SHADOW_SSP(%rcx), %rax
    movq    %rax, \word
.Lkept\@:
#endif
.endm

/// The same back, for an NMI on the last IRET, which has pushed over it. Uses RAX, RCX.
.macro renew_interrupted_ssp word:vararg
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lrenewed\@
    movq    \word, %rax
    wrssq   %rax, X86_SHADOW_SSP(%rcx)
.Lrenewed\@:
#endif
.endm

/// The shadow stack is free, and the next NMI's, before the IRET: one that comes on it pushes over the words for
/// the IRET, and makes them again from what is kept. Block and trap_frame at the offsets given. Uses RCX, RDX.
.macro free_shadow_stack frame:req, block:req
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lfree\@
    follow_frame \frame
    leaq    X86_SHADOW_SIZE(%rcx), %rdx
    wrssq   %rdx, (%rdx)
.Lfree\@:
    movq    \block + NMI_BLOCK_SHADOW_STACK(%rsp), %rdx
    movq    %rdx, \block + NMI_BLOCK_SSP(%rsp)
#endif
.endm

/// Back onto the shadow stack of the NMI in progress, as it was before its exit. The block at the offset given. Uses
/// RAX, RCX, RDX, RSI.
.macro return_to_shadow_stack block:req
#ifdef NMISAFE_SHADOW_STACK
    movq    \block + NMI_BLOCK_SHADOW_STACK(%rsp), %rdx
    read_shadow_stack none=.Lreturned\@
    leaq    -X86_SHADOW_SIZE(%rdx), %rax
    cmpq    %rcx, %rax
    je      .Lon_it\@
    leave_shadow_stack words=rax, scratch=rsi
.Lon_it\@:
    movq    \block + NMI_BLOCK_INTERRUPTED_SSP(%rsp), %rcx
    wrssq   %rcx, X86_SHADOW_SSP(%rax)
.Lreturned\@:
    addq    $NMI_SHADOW_STRIDE, %rdx
    movq    %rdx, \block + NMI_BLOCK_SSP(%rsp)
#endif
.endm

/// What a far return pops goes below the interrupted SSP, as prepare_shadow_stack does it. Uses RAX, RCX.
.macro leave_nested_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Lleft\@
    push_reg rdi
    leave_for_interrupted_shadow_stack ssp=rdi, words=rax, scratch=rdi
    pop_reg rdi
.Lleft\@:
#endif
.endm

#endif // __ASSEMBLER__
#endif
