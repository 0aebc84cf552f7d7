// SPDX-License-Identifier: MIT
// x86-64: from the vector to C++ and back. The twin of entry_x86_32.S: same order, same labels.
//
// What the CPU guarantees here [intel/vol3 6.12, 6.14]
//   1. It aligns RSP to 16, pushes SS, RSP, RFLAGS, CS, RIP, and for some vectors an error code.
//   2. Every gate is an interrupt gate: IF, TF, NT and RF are clear on entry. DF and AC are not.
//   3. NMI, #DF, #MC and #DB each start at the top of their own IST stack, whatever ran before; all
//      other events from ring 0 stay on the interrupted stack. #BP and #PF must not have an IST: one
//      taken inside the handler of another would start at the top again, over the first one's frame.
//   4. After an NMI no other one is delivered until an IRET has run: that is nmisafe_trap_nmi_iret,
//      or another IRET counted in cpu_state::iret_returns.
// What it does not guarantee: GS base may be anything while the CPU is in ring 0, as soon as a kernel
// has user mode. Here only the NMI copes with that. #DB and #MC will have to when the entry of user mode
// exists; until then every event but the NMI interrupts code whose GS base is the kernel's.
//
// The stack on the call into C++ is struct trap_frame, drawn in x86/trap_frame.h. It is a multiple of
// 16 bytes and so is its address: the call is aligned for the ABI.
#ifdef __x86_64__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/trap/return_x86_64.h"
#include "nmisafe/trap/shadow_stack_x86_64.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

// An own section, so that one range holds everything no probe may touch (I12).
    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

#define FRAME_ABOVE_CX (FRAME_IP - FRAME_CX)    // from the saved RCX to the hardware frame
#define FRAME_BELOW_IP (FRAME_IP - FRAME_VECTOR) // vector and error code

// ---------------------------------------------------------------------------------------------------
// One stub for each vector, 16 bytes apart so that stub v is at nmisafe_trap_stubs + 16 * v. It makes
// all frames alike: an error code (0 where the CPU pushes none) and the vector.
    .balign 16
trap_code nmisafe_trap_stubs
    .set    vector, 0
    .rept   X86_VECTORS
    .balign 16
    .cfi_hardware_frame 0
    indirect_target
    .if vector >= X86_EXCEPTION_VECTORS || !((X86_ERROR_CODE_VECTORS >> (vector & 31)) & 1)
    pushq   $0
    .endif
    .cfi_hardware_frame 8
    pushq   $vector
    .cfi_adjust_cfa_offset 8
    .if vector == X86_VECTOR_NMI
    jmp     nmisafe_trap_nmi_common
    .elseif vector == X86_VECTOR_PF
    jmp     nmisafe_trap_page_fault_common
    .elseif vector == X86_VECTOR_BP
    jmp     nmisafe_trap_breakpoint_common
    .elseif vector == X86_VECTOR_DB || vector == X86_VECTOR_MC
    jmp     nmisafe_trap_nmi_like_common
    .else
    jmp     nmisafe_trap_common
    .endif
    .set    vector, vector + 1
    .endr
    .balign 16
end_trap_code nmisafe_trap_stubs

// ---------------------------------------------------------------------------------------------------
// Events that may interrupt anything, also the return sequences below, and use an IST: #DB and #MC.
trap_code nmisafe_trap_nmi_like_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    nmisafe_trap_dispatch_nmi_like
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_nmi_like_common

// #PF: its C++ side reads CR2 first of all.
trap_code nmisafe_trap_page_fault_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    nmisafe_trap_dispatch_page_fault
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_page_fault_common

// ---------------------------------------------------------------------------------------------------
// The common path. A frame from user mode gets no further than C++ as yet: the entry of user mode
// would swap GS here, and its return swap back before the IRET.
trap_code nmisafe_trap_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld                                 // the ABI wants DF=0; the interrupted code may not
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    nmisafe_trap_dispatch
    jmp     nmisafe_trap_return
end_trap_code nmisafe_trap_common

// #BP: to whom breakpoint_dispatch.hpp says, and by no detour.
trap_code nmisafe_trap_breakpoint_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    *nmisafe_trap_breakpoint_dispatch(%rip)

// EAX: how to return (return_kind.h). The default policy's forms are tested first.
    .globl  nmisafe_trap_return
nmisafe_trap_return:
    prepare_shadow_stack
    cmpl    $NMISAFE_RETURN_NEAR, %eax
    jne     .Lnot_near
    .cfi_remember_state
    pop_registers_but_ax_cx
    nmi_safe_return_near frame=FRAME_ABOVE_CX
    .cfi_restore_state

.Lnot_near:
    cmpl    $NMISAFE_RETURN_NEAR_STI, %eax
    jne     .Lnot_near_sti
    .cfi_remember_state
    pop_registers_but_ax_cx
    nmi_safe_return_near frame=FRAME_ABOVE_CX, interrupts=1, shadowed=nmisafe_trap_near_shadowed
    .cfi_restore_state

.Lnot_near_sti:
    cmpl    $NMISAFE_RETURN_FAR, %eax
    jne     .Lnot_far
    .cfi_remember_state
    pop_registers_but_ax_cx
    nmi_safe_return_far frame=FRAME_ABOVE_CX
    .cfi_restore_state

.Lnot_far:
    cmpl    $NMISAFE_RETURN_FAR_STI, %eax
    jne     .Lreturn_iret
    .cfi_remember_state
    pop_registers_but_ax_cx
    nmi_safe_return_far frame=FRAME_ABOVE_CX, interrupts=1, shadowed=nmisafe_trap_far_shadowed
    .cfi_restore_state

// What POPF cannot restore goes this way: user frames, TF, NT, VM, another CS, RF when it matters; and
// everything under the policy iret. If it runs inside an NMI, it ends the NMI's protection early.
.Lreturn_iret:
    pop_registers_but_ax_cx
    pop_reg rcx
    pop_reg rax
    addq    $FRAME_BELOW_IP, %rsp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    iretq                               // why an IRET: the image is not plain, or policy iret
end_trap_code nmisafe_trap_breakpoint_common

// ---------------------------------------------------------------------------------------------------
// NMI. May interrupt anything, also another trap's entry or return and any state of GS, so: its own
// IST stack, per-CPU data found from that stack and not from GS, and nothing that can trap before the
// kernel's GS base is in place. Nothing here may be patched or probed, no memory may be lazily mapped.
//
//   IST pointer ->  | gs_base         |   struct nmi_stack_top, written when the CPU was set up
//                   | trap_frame      |   <- RSP below; CR2 and DR7 are kept by the C++ side
//
// A later nested-NMI latch goes in front of the first push: it looks at the word this stack's last
// frame left, before anything is overwritten. Without it, an NMI let in early by an IRET (the policy
// iret, an image that is not plain, an SMI) runs over this frame.
trap_code nmisafe_trap_nmi_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
    movl    $X86_MSR_GS_BASE, %ecx
    rdmsr
    cmpl    %eax, FRAME_SIZE(%rsp)
    jne     .Lforeign_gs
    cmpl    %edx, FRAME_SIZE + 4(%rsp)
    jne     .Lforeign_gs
    xorl    %ebx, %ebx                  // EBX=0: GS base need not be restored; C++ preserves it
.Lgs_is_kernel:
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    nmisafe_trap_nmi
    .globl  nmisafe_trap_nmi_exit
nmisafe_trap_nmi_exit:
    testl   %ebx, %ebx
    jnz     .Lrestore_gs
.Lnmi_return:
    prepare_shadow_stack_for_iret
    .cfi_remember_state
    pop_registers_but_ax_cx
    pop_reg rcx
    pop_reg rax
    addq    $FRAME_BELOW_IP, %rsp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    .globl  nmisafe_trap_nmi_iret
nmisafe_trap_nmi_iret:
    iretq                               // why an IRET: the one that unblocks NMIs, at the very end
    .cfi_restore_state

.Lforeign_gs:
    movl    $1, %ebx
    movl    %eax, %r12d                 // keep both halves: C++ preserves R12 and R13
    movl    %edx, %r13d
    movl    FRAME_SIZE(%rsp), %eax
    movl    FRAME_SIZE + 4(%rsp), %edx
    wrmsr
    jmp     .Lgs_is_kernel

.Lrestore_gs:
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_GS, nmisafe_trap_removed(%rip)
    jnz     .Lnmi_return
#endif
    movl    $X86_MSR_GS_BASE, %ecx
    movl    %r12d, %eax
    movl    %r13d, %edx
    wrmsr
    jmp     .Lnmi_return
end_trap_code nmisafe_trap_nmi_common

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
