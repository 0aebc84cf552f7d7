// SPDX-License-Identifier: MIT
// x86-32: from the vector to C++ and back. The twin of entry_x86_64.S: same order, same labels.
//
// What the CPU guarantees here [intel/vol3 6.12]
//   1. From ring 0 it pushes EFLAGS, CS, EIP on the interrupted stack, and for some vectors an error
//      code. No stack is switched, for the NMI neither; only #DF has its own, through a task gate.
//   2. Every gate is an interrupt gate: IF, TF, NT and RF are clear on entry. DF and AC are not.
//   3. After an NMI no other one is delivered until an IRET has run: that is nmisafe_trap_nmi_iret,
//      or another IRET counted in cpu_state::iret_returns.
// What it does not guarantee: the data segment registers. Here DS, ES and SS are taken for the kernel's: the
// stubs of the module user see to that. GS, which finds the CPU's own data, is not trusted by the NMI.
//
// The stack on the call into C++ is struct trap_frame, drawn in x86/trap_frame.h.
#ifdef __i386__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/trap/return_x86_32.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

// An own section, so that one range holds everything no probe may touch (I12).
    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

// ---------------------------------------------------------------------------------------------------
// One stub for each vector, 16 bytes apart so that stub v is at nmisafe_trap_stubs + 16 * v. It makes
// all frames alike: an error code (0 where the CPU pushes none) and the vector.
    .balign 16
trap_code nmisafe_trap_stubs
    .set    vector, 0
    .rept   X86_VECTORS
    .balign 16
    .cfi_hardware_frame 0
    .if vector == X86_VECTOR_NMI
    jmp     nmisafe_trap_nmi_entry      // entry_address() gives that itself: see there
    .else
    indirect_target
    push_error_and_vector vector
    .if vector == X86_VECTOR_PF
    jmp     nmisafe_trap_page_fault_common
    .elseif vector == X86_VECTOR_BP
    jmp     nmisafe_trap_breakpoint_common
    .elseif vector == X86_VECTOR_DB || vector == X86_VECTOR_MC
    jmp     nmisafe_trap_nmi_like_common
    .else
    jmp     nmisafe_trap_common
    .endif
    .endif
    .set    vector, vector + 1
    .endr
    .balign 16
end_trap_code nmisafe_trap_stubs

// ---------------------------------------------------------------------------------------------------
// Events that may interrupt anything, also the return sequences below: #DB and #MC.
trap_code nmisafe_trap_nmi_like_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    pushl   %esp                        // arg 1: trap_frame*
    .cfi_adjust_cfa_offset 4
    call    nmisafe_trap_dispatch_nmi_like
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_nmi_like_common

// #PF: its C++ side reads CR2 first of all.
trap_code nmisafe_trap_page_fault_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    pushl   %esp                        // arg 1: trap_frame*
    .cfi_adjust_cfa_offset 4
    call    nmisafe_trap_dispatch_page_fault
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_page_fault_common

// ---------------------------------------------------------------------------------------------------
// The common path. Frames from user mode have one of their own, in the module user, which loads the kernel's data
// segments.
trap_code nmisafe_trap_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld                                 // the ABI wants DF=0; the interrupted code may not
    pushl   %esp                        // arg 1: trap_frame*
    .cfi_adjust_cfa_offset 4
    call    nmisafe_trap_dispatch
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_common

// #BP: to whom breakpoint_dispatch.hpp says, and by no detour.
trap_code nmisafe_trap_breakpoint_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    pushl   %esp                        // arg 1: trap_frame*
    .cfi_adjust_cfa_offset 4
    call    *nmisafe_trap_breakpoint_dispatch

// EAX: how to return (return_kind.h). The default policy's forms are tested first.
    .globl  nmisafe_trap_return
nmisafe_trap_return:
    addl    $4, %esp                    // the argument
    .cfi_adjust_cfa_offset -4
    cmpl    $NMISAFE_RETURN_NEAR, %eax
    jne     .Lnot_near
    .cfi_remember_state
    pop_registers
    nmi_safe_return_near frame=FRAME_BELOW_IP
    .cfi_restore_state

.Lnot_near:
    cmpl    $NMISAFE_RETURN_NEAR_STI, %eax
    jne     .Lnot_near_sti
    .cfi_remember_state
    pop_registers
    nmi_safe_return_near frame=FRAME_BELOW_IP, interrupts=1, shadowed=nmisafe_trap_near_shadowed
    .cfi_restore_state

.Lnot_near_sti:
    cmpl    $NMISAFE_RETURN_FAR, %eax
    jne     .Lnot_far
    .cfi_remember_state
    pop_registers
    nmi_safe_return_far frame=FRAME_BELOW_IP
    .cfi_restore_state

.Lnot_far:
    cmpl    $NMISAFE_RETURN_FAR_STI, %eax
    jne     .Lreturn_iret
    .cfi_remember_state
    pop_registers
    nmi_safe_return_far frame=FRAME_BELOW_IP, interrupts=1, shadowed=nmisafe_trap_far_shadowed
    .cfi_restore_state

// What POPF cannot restore goes this way: user frames, TF, NT, VM, another CS, RF when it matters; and
// everything under the policy iret. If it runs inside an NMI, it ends the NMI's protection early.
.Lreturn_iret:
    pop_registers
    addl    $FRAME_BELOW_IP, %esp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    iretl                               // why an IRET: the image is not plain, or policy iret
end_trap_code nmisafe_trap_breakpoint_common

#endif // __i386__

    .section .note.GNU-stack, "", @progbits
