// SPDX-License-Identifier: MIT
// x86-32: the NMI, from the CPU's delivery to C++ and back, and the latch. The twin of nmi_x86_64.S, which says
// more. [intel/vol3 6.7]
//
// No stack is switched: a nested NMI pushes its frame below what it interrupts and destroys nothing. What the
// latch keeps from happening is that the handler is entered again, and that the stack grows without end.
//
// A further NMI, at the boundaries of entry and exit:
//   - before the C++ side has set cpu_state::nmi_latch: it is the first one's peer. It runs the handler, goes back
//     by IRET, and this one runs it after it.
//   - from there to the MOVL that clears the word: it is remembered, and goes back without IRET, so NMIs are
//     blocked again.
//   - from the MOVL on: this one has done all but return. A further one that finds EIP there drops its own frame
//     and runs the handler with the frame of this one, or, at the IRET, as if it had interrupted what this one
//     did. So the stack does not grow, however many come.
// Nor does it matter if what it interrupts is the handler of an #MC or of a step at one of these boundaries: it is
// remembered by the word and not by EIP, and where the word is clear it runs the handler at once, which honours
// what was pending.
// It may also interrupt another trap's entry or return and any state of GS, so: the kernel's own GS selector is
// loaded and the interrupted one put back. Nothing here may be patched or probed, no memory may be lazily mapped.
#ifdef __i386__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/nmi_latch.h"
#include "nmisafe/trap/return_x86_32.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

trap_code nmisafe_trap_nmi_entry
    .cfi_hardware_frame 0
    indirect_target
    pushl   $0
    .cfi_adjust_cfa_offset 4
    pushl   $X86_VECTOR_NMI
    .cfi_adjust_cfa_offset 4
    push_registers
    movl    FRAME_IP(%esp), %eax
    subl    $nmisafe_trap_nmi_window, %eax
    cmpl    $nmisafe_trap_nmi_iret - nmisafe_trap_nmi_window, %eax
    jbe     .Linterrupted_exit
.Lrun:
    cld
    movl    %gs, %ebx                   // C++ preserves EBX
    movw    nmisafe_trap_percpu_selector, %gs
    pushl   %esp                        // arg 1: trap_frame*
    .cfi_adjust_cfa_offset 4
    call    nmisafe_trap_nmi            // EAX: the latch of this run, or why there was none
    .globl  nmisafe_trap_nmi_exit
nmisafe_trap_nmi_exit:
    addl    $4, %esp
    .cfi_adjust_cfa_offset -4
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_GS, nmisafe_trap_removed
    jnz     .Lgs_is_back
#endif
    movl    %ebx, %gs
.Lgs_is_back:
    cmpl    $NMISAFE_NMI_NESTED_IRET, %eax
    jbe     .Lnested
    movl    $0, NMI_LATCH(%eax)
// The frame and the registers in it stay whole, and ESP where it is, so that a further NMI can begin anew.
    .globl  nmisafe_trap_nmi_window
nmisafe_trap_nmi_window:
    cmpl    $0, NMI_PENDING(%eax)
    jne     .Lrun
    .set    offset, 0
    .irp    register, ebp, edi, esi, edx, ebx, ecx, eax
    movl    offset(%esp), %\register
    .set    offset, offset + 4
    .endr
    .cfi_remember_state
    addl    $FRAME_IP, %esp
    .cfi_adjust_cfa_offset -FRAME_IP
    .irp    register, ebp, edi, esi, edx, ebx, ecx, eax
    .cfi_restore \register
    .endr
    .globl  nmisafe_trap_nmi_iret
nmisafe_trap_nmi_iret:
    iretl                               // why an IRET: the one that unblocks NMIs, at the very end
    .cfi_restore_state

.Linterrupted_exit:
    testb   $X86_RPL_MASK, FRAME_CS(%esp)
    jnz     .Lrun                       // user mode's addresses say nothing
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed
    jnz     .Lrun
#endif
    cmpl    $nmisafe_trap_nmi_iret - nmisafe_trap_nmi_window, %eax
    je      .Linterrupted_iret
    addl    $FRAME_SIZE, %esp           // ESP -> the trap_frame of the interrupted one
    jmp     .Lrun

// The registers are the interrupted code's already, and its frame is next.
.Linterrupted_iret:
    .cfi_remember_state
    pop_registers
    addl    $FRAME_SIZE - FRAME_VECTOR, %esp
    .cfi_adjust_cfa_offset FRAME_VECTOR - FRAME_SIZE + 12
    jmp     nmisafe_trap_nmi_entry
    .cfi_restore_state

// Remembered; the interrupted handler goes on.
.Lnested:
    cmpl    $NMISAFE_NMI_NESTED, %eax
    jne     .Lnested_iret
    .cfi_remember_state
    pop_registers
    nmi_safe_return_near frame=FRAME_BELOW_IP
    .cfi_restore_state
.Lnested_iret:
    pop_registers
    addl    $FRAME_BELOW_IP, %esp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    .globl  nmisafe_trap_nmi_nested_iret
nmisafe_trap_nmi_nested_iret:
    iretl                               // why an IRET: the image is not plain
end_trap_code nmisafe_trap_nmi_entry

#endif // __i386__

    .section .note.GNU-stack, "", @progbits
