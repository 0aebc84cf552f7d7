// SPDX-License-Identifier: MIT
// What a supervisor shadow stack asks of the returns: macros of nothing unless the kernel is built with
// NMISAFE_SHADOW_STACK. Then four instructions find out whether this CPU has one: RDSSP leaves its
// register as it is where there is none, on CPUs older than it too.
//
// Delivery pushes CS, the instruction pointer and the interrupted SSP. IRET and the far return pop them,
// compare the first two with what they load, and set SSP to the third. So
//   1. what a handler made of IP and CS is written there too (WRSS);
//   2. of a CALL that it stood in for, the return address goes onto the interrupted shadow stack;
//   3. an event on an IST has a shadow stack of its own, from the interrupt SSP table, whose token it
//      made busy. IRET makes it free, the far return does not, and of one that is busy the CPU makes a
//      #GP in place of the next event. So such a return leaves it first, and then frees it.
// [intel/vol2 IRET, RET, RSTORSSP, WRSS; intel/vol1 CET]
#ifndef NMISAFE_TRAP_SHADOW_STACK_X86_64_H
#define NMISAFE_TRAP_SHADOW_STACK_X86_64_H

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/return_common.h"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

#ifdef __ASSEMBLER__

/// Goes to \label if the controls image is to do without \defence, a bit of \removed.
.macro jump_if_removed defence:req, label:req, removed=nmisafe_trap_removed
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $\defence, \removed(%rip)
    jnz     \label
#endif
.endm

/// Reads SSP into RCX; goes to \none where there is no shadow stack.
.macro read_shadow_stack none:req
    xorl    %ecx, %ecx
    rdsspq  %rcx
    testq   %rcx, %rcx
    jz      \none
.endm

/// Makes the words that IRET or the far return will compare equal to the frame's. RCX: SSP; the trap_frame
/// at \frame(%rsp). Uses RDX.
.macro follow_frame frame=0
    jump_if_removed NMISAFE_WITHOUT_SHADOW_STEP, .Lfollowed\@
    movq    \frame + FRAME_IP(%rsp), %rdx
    cmpq    X86_SHADOW_IP(%rcx), %rdx   // equal but for a handler that moved it
    je      .Lsame_ip\@
    wrssq   %rdx, X86_SHADOW_IP(%rcx)
.Lsame_ip\@:
    movq    \frame + FRAME_CS(%rsp), %rdx
    cmpq    X86_SHADOW_CS(%rcx), %rdx
    je      .Lfollowed\@
    wrssq   %rdx, X86_SHADOW_CS(%rcx)
.Lfollowed\@:
.endm

/// The three words at RCX once more, below the interrupted SSP, and SSP to them: for a far return on another
/// shadow stack.
.macro leave_for_interrupted_shadow_stack ssp:req, words:req, scratch:req
    movq    X86_SHADOW_SSP(%rcx), %\ssp
    leaq    -X86_SHADOW_SIZE(%\ssp), %\words
    wrssq   %\ssp, X86_SHADOW_SSP(%\words)
    movq    X86_SHADOW_IP(%rcx), %\scratch
    wrssq   %\scratch, X86_SHADOW_IP(%\words)
    movq    X86_SHADOW_CS(%rcx), %\scratch
    wrssq   %\scratch, X86_SHADOW_CS(%\words)
    leave_shadow_stack words=\words, scratch=\scratch
.endm

/// All of the above, before a return whose kind is in EAX. RSP -> trap_frame, every other register saved.
///
/// A CALL that was stood in for: the words move down by one, to make room for the return address. SSP
/// goes there first, by a CALL, so that no event pushes over them.
///
/// An IST: the words are written below the interrupted SSP, where they would be without one, and below
/// them a token for RSTORSSP to switch to, which INCSSP passes. Until the switch nobody pushes there;
/// after it the words lie above SSP. Only then the IST's token is free.
///
///     interrupted SSP ->  |                |
///                    -8   | cs             |
///                    -16  | ip             |
///                    -24  | SSP            |  <- SSP at the far return
///                    -32  | token, for -24 |  <- SSP after RSTORSSP
.macro prepare_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    read_shadow_stack none=.Ldone\@
    testl   $FRAME_RETURN_ADDRESS, FRAME_VECTOR(%rsp)
    jnz     .Lcalled\@
.Lfollow\@:
    follow_frame
    leaq    X86_SHADOW_SIZE(%rcx), %rdx
    cmpq    X86_SHADOW_SSP(%rcx), %rdx
    je      .Ldone\@                    // no switch: the interrupted words are right above
    cmpl    $NMISAFE_RETURN_IRET, %eax
    je      .Ldone\@
    jump_if_removed NMISAFE_WITHOUT_SHADOW_TOKEN, .Ldone\@
    leave_for_interrupted_shadow_stack ssp=rsi, words=rdx, scratch=rdi
    jmp     .Ldone\@
.Lcalled\@:
    jump_if_removed NMISAFE_WITHOUT_SHADOW_CALL, .Lfollow\@
    balance_return_stack                // its CALL is what moves SSP
    subq    $8, %rcx
    movq    8 + X86_SHADOW_SSP(%rcx), %rdx
    leaq    -8(%rdx), %rdx
    wrssq   %rdx, X86_SHADOW_SSP(%rcx)
    movq    FRAME_SP(%rsp), %rdx
    movq    (%rdx), %rdx
    wrssq   %rdx, X86_SHADOW_SIZE(%rcx)
    movq    FRAME_CS(%rsp), %rdx
    wrssq   %rdx, X86_SHADOW_CS(%rcx)
    jmp     .Lfollow\@
.Ldone\@:
#endif
.endm

/// Leaves the shadow stack of an event for another one: \words, a register, is where SSP is to be, RCX where it
/// is. Below \words a token for RSTORSSP is written. Then the one that was left is free. Uses \scratch and RCX.
.macro leave_shadow_stack words:req, scratch:req
    leaq    X86_SHADOW_TOKEN_64_BIT(%\words), %\scratch
    wrssq   %\scratch, -8(%\words)
    rstorssp -8(%\words)
    movq    $1, %\scratch
    incsspq %\scratch
    leaq    X86_SHADOW_SIZE(%rcx), %rcx
    wrssq   %rcx, (%rcx)                // not busy
.endm

#endif // __ASSEMBLER__
#endif
