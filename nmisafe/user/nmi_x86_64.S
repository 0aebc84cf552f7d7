// SPDX-License-Identifier: MIT
// x86-64: the NMI of kernels with user mode. From ring 0 it is the trap module's.
#ifdef __x86_64__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/nmi_shadow_stack_x86_64.h"
#include "nmisafe/user/entry_macros_x86_64.h"
#include "nmisafe/user/shadow_stack_x86_64.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/vectors.h"

    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

// From ring 3 the frame moves to the thread's stack, and there is no work before the return, because NMIs are
// blocked until it. The first instruction (behind ENDBR) is that of the module trap's entry, whose rules hold here
// too: nmi_x86_64.S. So is what a nested one does: it is told before anything else, so that no boundary more is open
// to a further one than there.
#define AT_HEAD(offset) HARDWARE_SIZE + (offset)(%rsp)
trap_code nmisafe_user_nmi_entry
    .cfi_hardware_frame 0
    indirect_target
    subq    $NMI_STRIDE, AT_HEAD(NMI_BLOCK_IST)
    .globl  nmisafe_user_nmi_entered
nmisafe_user_nmi_entered:
    lower_shadow_stack AT_HEAD(NMI_BLOCK_SSP)
    .globl  nmisafe_user_nmi_lowered
nmisafe_user_nmi_lowered:
    cmpl    $0, AT_HEAD(NMI_BLOCK_LEVEL)
    jne     nmisafe_trap_nmi_nested     // in user mode: stops the machine
    .globl  nmisafe_user_nmi_outer
nmisafe_user_nmi_outer:
#ifdef NMISAFE_USER_CLAC
    clac
#endif
    testb   $X86_RPL_MASK, FRAME_CS - FRAME_IP(%rsp)
    jz      .Lnmi_from_kernel
    .cfi_remember_state
    pushq   $0
    .cfi_adjust_cfa_offset 8
    pushq   $X86_VECTOR_NMI
    .cfi_adjust_cfa_offset 8
    swapgs
    push_reg rdi
    load_kernel_tables rdi
    movq    %rsp, %rdi
    .cfi_def_cfa_register %rdi
    movq    %gs:CPU_WORD(USER_STACK_TOP), %rsp
    .irp    word, 7, 6, 5, 4, 3, 2, 1
    pushq   8 * \word(%rdi)             // SS first, the vector last
    .endr
    .irp    register, rax, rcx, rbx, rdx, rsi
    pushq   %\register
    .endr
    pushq   (%rdi)                      // RDI
    .irp    register, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    pushq   %\register
    .endr
    .cfi_hardware_frame FRAME_IP
    leaq    8 + FRAME_BELOW_IP + HARDWARE_SIZE(%rdi), %rbx // the block; C++ preserves RBX
    movq    %rsp, NMI_BLOCK_OTHER_REDO_SP(%rbx)
    cld
    move_to_thread_shadow_stack
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed(%rip)
    jz      .Lrun_nmi
    raise_shadow_stack
    addq    $NMI_STRIDE, NMI_BLOCK_IST(%rbx) // a nested one is none to the entry
#endif
.Lrun_nmi:
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    call    nmisafe_trap_nmi
    movq    %rsp, %rdi
    call    nmisafe_user_is_refused     // AL
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed(%rip)
    jnz     .Lraised
#endif
    .globl  nmisafe_user_nmi_exit
nmisafe_user_nmi_exit:
    cmpl    $0, NMI_BLOCK_PENDING(%rbx)
    .globl  nmisafe_user_nmi_window
nmisafe_user_nmi_window:
    jne     .Lnmi_again
    raise_shadow_stack
    .globl  nmisafe_user_nmi_raise
nmisafe_user_nmi_raise:
    addq    $NMI_STRIDE, NMI_BLOCK_IST(%rbx) // nothing of this NMI lies on the NMI's stack
.Lraised:
    testb   %al, %al
    movl    $0, %eax                    // return_kind::iret
    jz      nmisafe_user_return
// An image that IRET must not load as it is ends the NMI here, and goes on as any other from user mode.
    call    nmisafe_user_unblock_nmis
    movq    %rsp, %rdi
    call    nmisafe_user_finish
    jmp     nmisafe_user_return

// Where an NMI between the two labels goes on: RDX is the block.
    .globl  nmisafe_user_nmi_redo
nmisafe_user_nmi_redo:
    indirect_target
    movq    %rdx, %rbx
    leave_for_thread_shadow_stack
.Lnmi_again:
    movl    $0, NMI_BLOCK_PENDING(%rbx)
    lower_shadow_stack_again
    jmp     .Lrun_nmi

// If this one has interrupted an NMI's entry here, before the IST entry was lowered, its frame lies over that one's.
// Only the RIP of ring 0 tells: RSP may be anything behind a SYSCALL.
.Lnmi_from_kernel:
    .cfi_restore_state
    push_reg rax
    leaq    nmisafe_user_nmi_entered - 1(%rip), %rax
    subq    8(%rsp), %rax               // RIP: unsigned, so that one range is one comparison
    cmpq    $nmisafe_user_nmi_entered - nmisafe_user_nmi_entry, %rax
    pop_reg rax
    jae     nmisafe_trap_nmi_lowered
    jmp     nmisafe_trap_nmi_lost
end_trap_code nmisafe_user_nmi_entry

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
