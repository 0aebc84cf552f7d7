// SPDX-License-Identifier: MIT
// x86-32: what the C++ side of the NMI gives back to nmi_x86_32.S in EAX, if not the address of cpu_state::nmi_latch,
// and where the words lie behind that address.
#ifndef NMISAFE_TRAP_NMI_LATCH_H
#define NMISAFE_TRAP_NMI_LATCH_H

#define NMISAFE_NMI_NESTED 0      // remembered: go back by POPF and a return
#define NMISAFE_NMI_NESTED_IRET 1 // the same; the image is not plain

#define NMI_LATCH 0   // cpu_state::nmi_latch
#define NMI_PENDING 4 // cpu_state::nmi_pending

#ifdef __ASSEMBLER__

#include "nmisafe/trap/controls.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

// An NMI's exit, of the module trap and of user, each with labels \of\()_window and \of\()_iret. From the window
// on a further NMI begins anew with the frame of this one, which therefore stays whole, and ESP where it is.

/// EAX: what nmisafe_trap_nmi() gave back. Falls through when the handler has run, and no further NMI came.
.macro end_nmi of:req, nested:req, run:req
    cmpl    $NMISAFE_NMI_NESTED_IRET, %eax
    jbe     \nested
    movl    $0, NMI_LATCH(%eax)
    .globl  \of\()_window
\of\()_window:
    cmpl    $0, NMI_PENDING(%eax)
    jne     \run
.endm

/// All registers, and the IRET. ESP + \below -> trap_frame.
.macro leave_nmi of:req, below=0
    .set    offset, \below
    .irp    register, ebp, edi, esi, edx, ebx, ecx, eax
    movl    offset(%esp), %\register
    .set    offset, offset + 4
    .endr
    .cfi_remember_state
    addl    $FRAME_IP + \below, %esp
    .cfi_adjust_cfa_offset -(FRAME_IP + \below)
    .irp    register, ebp, edi, esi, edx, ebx, ecx, eax
    .cfi_restore \register
    .endr
    .globl  \of\()_iret
\of\()_iret:
    iretl                               // why an IRET: the one that unblocks NMIs, at the very end
    .cfi_restore_state
.endm

/// ESP + \below -> trap_frame of a further NMI. Goes to \interrupted if it has interrupted that exit. EAX is the
/// place in it.
.macro find_interrupted_exit of:req, interrupted:req, below=0
    movl    \below + FRAME_IP(%esp), %eax
    subl    $\of\()_window, %eax
    cmpl    $\of\()_iret - \of\()_window, %eax
    jbe     \interrupted
.endm

/// There: drops the frame of the further one, or goes to \at_iret, where that of this one is all but dropped too.
.macro take_over_exit of:req, run:req, at_iret:req, below=0
    testb   $X86_RPL_MASK, \below + FRAME_CS(%esp)
    jnz     \run                        // user mode's addresses say nothing
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed
    jnz     \run
#endif
    cmpl    $\of\()_iret - \of\()_window, %eax
    je      \at_iret
    addl    $FRAME_SIZE + \below, %esp  // ESP -> the frame of the interrupted one
    jmp     \run
.endm

#endif // __ASSEMBLER__
#endif
