// SPDX-License-Identifier: MIT
// x86-64: from user mode to C++ and back. The twin of entry_x86_32.S: same order, same labels.
//
// What the CPU guarantees here [intel/vol3 6.12, 6.14; intel/vol2 SYSCALL, SYSRET]
//   1. An event in ring 3 goes to the stack in TSS.RSP0, or that of its IST: #DB, NMI, #MC and #DF
//      have one. IF, TF, NT and RF are clear; DF and AC are the user's.
//   2. SYSCALL changes RIP, CS, SS, RFLAGS, RCX and R11. RSP is the user's until it is loaded here.
//      No event but NMI, #MC and #DB can come meanwhile: IF and TF are in the mask.
//   3. MOV SS holds a #DB back until after the next instruction. If that is SYSCALL or INT n, the #DB comes
//      before the first instruction here, from ring 0.
// What it does not: GS base is the user's at each entry until changed below, and again before each
// return. The saved CS says whose it is for every event that cannot land in between; #DB, #MC, #DF and NMI
// can, so they look for themselves. With isolated page tables the same holds for CR3: until it is changed
// nothing but what layout.h lists is mapped, and RSP0 is a stack of the CPU's, not the thread's.
//
// The stack on the call into C++ is struct trap_frame, at the end of the thread's stack.
#ifdef __x86_64__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_macros_x86_64.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/user/shadow_stack_x86_64.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

// With the library's other entry code: no probe may touch it.
    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

/// What every entry begins with.
.macro begin_entry
    indirect_target
#ifdef NMISAFE_USER_CLAC
    clac                                // the gate leaves AC, by which user code could turn off SMAP
#endif
.endm

/// Moves what the CPU and the stub have pushed from another stack to the thread's. GS is the kernel's.
.macro move_to_thread_stack
    push_reg rdi
    load_kernel_tables rdi
    movq    %rsp, %rdi
    .cfi_def_cfa_register %rdi
    movq    %gs:CPU_WORD(USER_STACK_TOP), %rsp
    .irp    word, 7, 6, 5, 4, 3, 2, 1
    pushq   8 * \word(%rdi)             // SS first, the vector last
    .endr
    movq    (%rdi), %rdi
    .cfi_hardware_frame FRAME_BELOW_IP
    .cfi_restore %rdi
.endm

/// The same for what RSP0 was for: already the thread's stack, unless page tables are isolated.
.macro leave_entry_stack
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    move_to_thread_stack
#endif
.endm

/// The way back: RSP -> RCX, RAX, vector, error code, what IRET pops; a copy of that on the entry stack, and CR3 is
/// that of user mode. RAX and RCX are lost.
.macro go_to_entry_stack
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %gs:CPU_WORD(USER_ENTRY_STACK), %rcx
    .irp    offset, 0, 8, 32, 40, 48, 56, 64
    movq    \offset(%rsp), %rax
    movq    %rax, \offset - FRAME_ABOVE_CX - HARDWARE_SIZE(%rcx)
    .endr
    leaq    -FRAME_ABOVE_CX - HARDWARE_SIZE(%rcx), %rsp
    movq    %gs:CPU_WORD(USER_TASK_TABLES), %rax
    movq    %rax, %cr3
#endif
.endm

/// RSP -> trap_frame: calls a dispatch function with it.
.macro dispatch function:req
    movq    %rsp, %rdi                  // arg 1: the frame
    call    \function
.endm

// ---------------------------------------------------------------------------------------------------
// One stub for each vector, 32 bytes apart. It makes all frames alike and looks at the saved CS: what was
// in ring 0 goes on to the trap module, as if its stub had been entered.
    .balign 32
trap_code nmisafe_user_stubs
    .set    vector, 0
    .rept   X86_VECTORS
    .balign 32
    .cfi_hardware_frame 0
    .if vector == X86_VECTOR_NMI
    jmp     nmisafe_user_nmi_entry      // entry_address() gives that itself: see there
    .else
    begin_entry
    push_error_and_vector vector
    .if vector == X86_VECTOR_DF
    jmp     nmisafe_user_anywhere_common
    .else
    testb   $X86_RPL_MASK, FRAME_CS - FRAME_VECTOR(%rsp)
    .if vector == X86_VECTOR_DB || vector == X86_VECTOR_MC
    jnz     nmisafe_user_nmi_like_common
    jmp     nmisafe_user_anywhere_common
    .elseif vector == X86_VECTOR_PF
    jnz     nmisafe_user_page_fault_common
    jmp     nmisafe_trap_page_fault_common
    .elseif vector == X86_VECTOR_BP
    jnz     nmisafe_user_common
    jmp     nmisafe_trap_breakpoint_common
    .elseif vector < X86_EXCEPTION_VECTORS && ((X86_ERROR_CODE_VECTORS >> (vector & 31)) & 1)
    jnz     nmisafe_user_common
    jmp     nmisafe_user_return_fault   // what an IRET may raise
    .else
    jnz     nmisafe_user_common
    jmp     nmisafe_trap_common
    .endif
    .endif
    .endif
    .set    vector, vector + 1
    .endr
    .balign 32
end_trap_code nmisafe_user_stubs

// ---------------------------------------------------------------------------------------------------
// Events in ring 3, on the thread's stack.
trap_code nmisafe_user_common
    .cfi_hardware_frame FRAME_BELOW_IP
    swapgs
    leave_entry_stack
    push_registers
    cld                                 // the ABI wants DF=0; the user may not
    dispatch nmisafe_user_dispatch
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_common

// #PF: its C++ side reads CR2 first of all.
trap_code nmisafe_user_page_fault_common
    .cfi_hardware_frame FRAME_BELOW_IP
    swapgs
    leave_entry_stack
    push_registers
    cld
    dispatch nmisafe_user_dispatch_page_fault
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_page_fault_common

// #DB and #MC: the frame moves from the IST stack to the thread's, so that the IST is free again before
// anything else can happen, and the handler's work may take as long as it likes.
trap_code nmisafe_user_nmi_like_common
    .cfi_hardware_frame FRAME_BELOW_IP
    swapgs
    move_to_thread_stack
    push_registers
    cld
    move_to_thread_shadow_stack
    dispatch nmisafe_user_dispatch_nmi_like
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_nmi_like_common

// ---------------------------------------------------------------------------------------------------
// #DB, #MC and #DF from ring 0 (#DF from anywhere): GS base may be the user's, whatever CS says. It
// is set to what the IST stack's own top says, and put back as it was found.
//
//   IST pointer ->  | ist_top    |
//                   | trap_frame |  <- RSP below
trap_code nmisafe_user_anywhere_common
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers
    cld
#ifdef NMISAFE_TRAP_CONTROLS
    movq    FRAME_SIZE + IST_TOP_GS_BASE(%rsp), %r12 // as if GS base were found to be right
    movq    %r12, %rbx
    testl   $NMISAFE_USER_WITHOUT_GS, nmisafe_user_removed(%rip)
    jnz     .Lgs_is_kernel
#endif
    movq    FRAME_SIZE + IST_TOP_GS_BASE(%rsp), %r12
    cmpl    $0, FRAME_SIZE + IST_TOP_HAS_FSGSBASE(%rsp)
    je      .Lread_gs_msr
    rdgsbase %rbx
    wrgsbase %r12
    jmp     .Lgs_is_kernel
.Lread_gs_msr:
    movl    $X86_MSR_GS_BASE, %ecx
    rdmsr
    movl    %eax, %ebx
    shlq    $32, %rdx
    orq     %rdx, %rbx                  // RBX: as found, R12: the kernel's
    cmpq    %rbx, %r12
    je      .Lgs_is_kernel
    movl    %r12d, %eax
    movq    %r12, %rdx
    shrq    $32, %rdx
    wrmsr
.Lgs_is_kernel:
    movq    %rsp, %r13
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %cr3, %r14                  // R14: as found, R15: the kernel's
    movq    %gs:CPU_WORD(USER_KERNEL_TABLES), %r15
#ifdef NMISAFE_TRAP_CONTROLS
    cmpq    $X86_VECTOR_DF, FRAME_VECTOR(%rsp) // what the control leads to
    je      .Ltables_are_known
    testl   $NMISAFE_WITHOUT_TABLES, nmisafe_trap_removed(%rip)
    jnz     .Ltables_are_kernel
.Ltables_are_known:
#endif
    cmpq    %r14, %r15
    je      .Ltables_are_kernel
    movq    %r15, %cr3
.Ltables_are_kernel:
#endif
    dispatch nmisafe_user_dispatch_anywhere
    movl    %eax, %ebp                  // how to return
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_TABLES_BACK, nmisafe_trap_removed(%rip)
    jnz     .Ltables_are_back
#endif
    cmpq    %r14, %r15
    je      .Ltables_are_back
    movq    %r14, %cr3
.Ltables_are_back:
#endif
    cmpq    %rbx, %r12
    je      .Lgs_is_back
    cmpl    $0, FRAME_SIZE + IST_TOP_HAS_FSGSBASE(%r13)
    je      .Lwrite_gs_msr
    wrgsbase %rbx
    jmp     .Lgs_is_back
.Lwrite_gs_msr:
    movl    $X86_MSR_GS_BASE, %ecx
    movl    %ebx, %eax
    movq    %rbx, %rdx
    shrq    $32, %rdx
    wrmsr
.Lgs_is_back:
    movl    %ebp, %eax
    jmp     nmisafe_trap_return
end_trap_code nmisafe_user_anywhere_common

// ---------------------------------------------------------------------------------------------------
// An exception with an error code in ring 0. If it is the IRET below that has faulted, over an image of the
// user's, the fault becomes the user's: the frame is made as if the user had had it. The stacks, for the image
// at I, whose end is a multiple of 16 (the CPU has aligned RSP before it pushed):
//
//      I+32  | ss     }                     | ss     }
//      I+0   | rip    } the image           | rip    }
//      I-8   | -                            | error  }
//      I-16  | ss     }                     | vector }  <- RSP below
//      I-48  | rip    } of the fault
//      I-56  | error  }
//      I-64  | vector }  <- RSP
//
// All registers are the user's, so words move by POP alone, each upwards: nothing needed is below RSP.
trap_code nmisafe_user_return_fault
    .cfi_hardware_frame FRAME_BELOW_IP
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_FIXUP, nmisafe_user_removed(%rip)
    jnz     nmisafe_trap_common
#endif
    push_reg rax
    leaq    nmisafe_user_iret(%rip), %rax
    cmpq    %rax, 8 + FRAME_IP - FRAME_VECTOR(%rsp)
    pop_reg rax
    jne     nmisafe_trap_common
    swapgs                              // it was swapped before the IRET
    popq    FRAME_SIZE - FRAME_IP(%rsp) // the vector, to I-16
    popq    FRAME_SIZE - FRAME_IP(%rsp) // the error code, to I-8
    leaq    32(%rsp), %rsp
    .cfi_hardware_frame FRAME_BELOW_IP
    leave_entry_stack
    push_registers
    cld
    drop_shadow_frame
// If the IRET was an NMI's, NMIs are unblocked: H1. Where they are not, on QEMU, they must be before the
// thread goes on.
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_UNBLOCKING, nmisafe_user_removed(%rip)
    jnz     .Lunblocked
#endif
    call    nmisafe_user_unblock_nmis
.Lunblocked:
    dispatch nmisafe_user_dispatch
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_return_fault

// Ends what is left of an NMI, where nothing of it is needed any more: on a CPU or under an emulator where
// the IRET that faults has not done so, and before what only an ordinary return may do. Uses RAX, RCX.
trap_code nmisafe_user_unblock_nmis
    .cfi_def_cfa %rsp, 8
    .cfi_offset %rip, -8
    movq    %rsp, %rcx
    .cfi_def_cfa_register %rcx
    movl    %ss, %eax
    pushq   %rax
    pushq   %rcx
    pushfq
    movl    %cs, %eax
    pushq   %rax
    leaq    .Lunblocked_nmis(%rip), %rax
    pushq   %rax
    .cfi_def_cfa %rsp, 8 + HARDWARE_SIZE
    push_shadow_frame
    .globl  nmisafe_user_unblocking_iret
nmisafe_user_unblocking_iret:
    iretq                               // why an IRET: it unblocks NMIs
.Lunblocked_nmis:
    .cfi_def_cfa_offset 8
    ret
end_trap_code nmisafe_user_unblock_nmis

// ---------------------------------------------------------------------------------------------------
// SYSCALL. The frame is made as if the CPU had pushed it; RCX and R11 in it are the user's RIP and RFLAGS, as
// the instruction leaves them. Until RSP is loaded an NMI, #MC or #DB finds the user's stack, or no stack at all, and
// so nothing that writes below it may return here: nmisafe_user_dispatch_anywhere sees to that. The same holds of SSP.
    .balign 16
trap_code nmisafe_user_syscall
    .cfi_undefined %rip
    begin_entry
    swapgs
    movq    %rsp, %gs:CPU_WORD(USER_SCRATCH)
    load_kernel_tables rsp              // the only register that is free
    movq    %gs:CPU_WORD(USER_STACK_TOP), %rsp
    take_shadow_stack
    .globl  nmisafe_user_syscall_on_stack
nmisafe_user_syscall_on_stack:
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %rcx
    pushq   $NMISAFE_USER_DATA_SELECTOR
    pushq   %gs:CPU_WORD(USER_SCRATCH)
    pushq   %r11
    pushq   $NMISAFE_USER_CODE_SELECTOR
    pushq   %rcx
    pushq   $0
    pushq   $X86_VECTORS                // user::syscall_vector
    .cfi_hardware_frame FRAME_BELOW_IP
    push_registers                      // DF is clear: it is in the mask
    dispatch nmisafe_user_dispatch_syscall
    .globl  nmisafe_user_return

// EAX: a user::return_kind. Interrupts are off, RSP -> trap_frame.
nmisafe_user_return:
    testl   %eax, %eax
    jnz     .Lfast
    .cfi_remember_state
.Lreturn_iret:
    pop_registers_but_ax_cx
    go_to_entry_stack
    pop_reg rcx
    pop_reg rax
    addq    $FRAME_BELOW_IP, %rsp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    swapgs
    .globl  nmisafe_user_iret
nmisafe_user_iret:
    iretq                               // why an IRET: to ring 3; a fault goes to nmisafe_user_return_fault
    .cfi_restore_state

// SYSRET takes RIP from RCX and RFLAGS from R11, which the dispatch has compared.
.Lfast:
    give_back_shadow_stack
    .globl  nmisafe_user_off_shadow_stack
nmisafe_user_off_shadow_stack:          // from here on SSP is none
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    FRAME_SP(%rsp), %rax
    movq    %rax, %gs:CPU_WORD(USER_SCRATCH)
#endif
    pop_registers_but_ax_cx
    pop_reg rcx
    pop_reg rax
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %gs:CPU_WORD(USER_TASK_TABLES), %rsp
#else
    movq    FRAME_SP - FRAME_VECTOR(%rsp), %rsp
#endif
    .globl  nmisafe_user_sysret
nmisafe_user_sysret:                    // from here on RSP is the user's, or on its way to be
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %rcx
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %rsp, %cr3
    movq    %gs:CPU_WORD(USER_SCRATCH), %rsp
#endif
    swapgs
    sysretq
    .globl  nmisafe_user_sysret_end
nmisafe_user_sysret_end:
end_trap_code nmisafe_user_syscall

/// [[noreturn]] void nmisafe_user_enter(user_frame* frame)
trap_code nmisafe_user_enter
    .cfi_hardware_frame FRAME_IP
    movq    %rdi, %rsp
    xorl    %eax, %eax
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_enter

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
