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
    find_interrupted_exit nmisafe_trap_nmi, interrupted=.Linterrupted_exit
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
    end_nmi nmisafe_trap_nmi, nested=.Lnested, run=.Lrun
    leave_nmi nmisafe_trap_nmi

.Linterrupted_exit:
    take_over_exit nmisafe_trap_nmi, run=.Lrun, at_iret=.Linterrupted_iret

// The registers are the interrupted code's already, and its frame is next.
.Linterrupted_iret:
    .cfi_remember_state
    pop_registers
    addl    $FRAME_SIZE - FRAME_VECTOR, %esp
    .cfi_adjust_cfa_offset FRAME_VECTOR - FRAME_SIZE + 12
    jmp     nmisafe_trap_nmi_entry
    .cfi_restore_state

// Remembered; the interrupted handler goes on. Those of the module user come here too. ESP -> trap_frame, EAX: a value
// of nmi_latch.h.
    .globl  nmisafe_trap_nmi_nested
nmisafe_trap_nmi_nested:
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
