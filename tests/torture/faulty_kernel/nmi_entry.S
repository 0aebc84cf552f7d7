// SPDX-License-Identifier: MIT
// The NMI's entry and exit; entry.S includes it.

// --- the frame is moved from the IST's stack, where the next NMI would overwrite it ------------------------------------
//
//   +0x20 ss     }
//   +0x18 sp     }
//   +0x10 flags  } pushed by the CPU
//   +0x08 cs     }
//   +0x00 ip     }                     <- %rsp on entry

    .globl  nmi_entry
nmi_entry:
#if defined NMI_LATCH
    pushq   %rdx
    cmpl    $0, nmi_running
    jne     nmi_nested
    // It may have been interrupted behind the latch's last look, its frame still in use: then it begins anew.
    movq    8(%rsp), %rdx
    subq    $nmi_leave, %rdx
    cmpq    $nmi_leave_end - nmi_leave, %rdx
    jb      nmi_nested_at_end
    movl    $1, nmi_running
    movq    %rsp, %rdx
    movq    $nmi_levels_end, %rsp
    pushq   40(%rdx)
    pushq   32(%rdx)
    pushq   24(%rdx)
    pushq   16(%rdx)
    pushq   8(%rdx)
    movq    (%rdx), %rdx
nmi_again:
#elif defined NMI_LEVELS
    // The interrupted stack pointer says which level it is. They go down, from the end of four.
    pushq   %rdx
    pushq   %rax
    movq    40(%rsp), %rdx
    subq    $nmi_levels, %rdx
    cmpq    $4 * LEVEL_SIZE, %rdx
    jbe     1f
    movl    $4 * LEVEL_SIZE + 1, %edx
1:  decq    %rdx
    andq    $-LEVEL_SIZE, %rdx          // the end of the next level's
#ifdef FAULT_third_nmi
    cmpq    $2 * LEVEL_SIZE, %rdx       // there are two: the third one's is the first one's
    ja      2f
    movl    $4 * LEVEL_SIZE, %edx
2:
#endif
    addq    $nmi_levels, %rdx
    movq    %rsp, %rax
    movq    %rdx, %rsp
    pushq   48(%rax)
    pushq   40(%rax)
    pushq   32(%rax)
    pushq   24(%rax)
    pushq   16(%rax)
    movq    8(%rax), %rdx
    movq    (%rax), %rax
#endif

// --- what it keeps of the interrupted code ----------------------------------------------------------------------------

    pushq   $0
    pushq   $2
    push_registers
#ifndef FAULT_df_cleared_late
    cld
#endif
    movq    %cr2, %rax
    pushq   %rax
    movq    %cr3, %rax
    pushq   %rax
    movq    %dr7, %rax
    pushq   %rax
    xorl    %ebx, %ebx
#ifdef FAULT_gs_believed
    testb   $3, AT_CS + 24(%rsp)        // CS says whose GS base it is: not at the entries' first instructions
    jz      1f
#else
    movl    $0xc0000101, %ecx           // IA32_GS_BASE
    rdmsr
    cmpl    $cpu_data, %eax
    je      1f
#endif
    incl    %ebx
    swapgs
1:  pushq   %rbx
    load_root kernel_table
    movl    $enter_user, %eax           // a breakpoint of the handler's own: nothing runs there any more
    movq    %rax, %dr0
    movl    $0x401, %eax
    movq    %rax, %dr7
#if !defined NMI_LATCH && !defined NMI_LEVELS
    // It returns by a copy. Its CS is cleared first: a frame that was not copied must not look like one.
    movq    $0, nmi_frame + 8
    leaq    AT_IP + 32(%rsp), %rsi
    movl    $nmi_frame, %edi
    movsq
    movsq
    movsq
    movsq
#ifndef FAULT_frame_short
    movsq
#endif
    cld
#endif

// --- what it does: each trap that an NMI handler may take ---------------------------------------------------------------

    movq    %gs:CPU_SELF, %rdx
    incl    CPU_IN_NMI(%rdx)
    incl    CPU_NMIS(%rdx)
nmi_breakpoint:
    int3
    movl    $1, NMI_PAGE
    andb    $0xfe, directories + NMI_PAGE / 0x200000 * 8
    invlpg  NMI_PAGE
#ifdef FAULT_halt
    cmpq    $breakpoint_forwards, AT_IP + 32(%rsp)
    jne     1f
    hlt                                 // for an interrupt that cannot come
1:
#endif
    decl    %gs:CPU_IN_NMI

// --- and back -----------------------------------------------------------------------------------------------------------

    popq    %rbx
    popq    %rax
#ifdef FAULT_dr7_left
    testb   $3, AT_CS + 16(%rsp)
    jz      1f
#endif
    movq    %rax, %dr7
1:  popq    %rax
#ifdef FAULT_cr3_not_restored
    testb   $3, AT_CS + 8(%rsp)         // "the kernel has its own"
    jz      1f
#endif
    movq    %rax, %cr3
1:  popq    %rax
#ifndef FAULT_no_cr2_save
    movq    %rax, %cr2
#endif
    testl   %ebx, %ebx
    jz      1f
    swapgs
1:
#ifdef FAULT_register_clobbered
    cmpq    $leave_iret, AT_IP(%rsp)
    jne     1f
    incq    24(%rsp)                    // R12
1:
#endif
    pop_registers
    addq    $16, %rsp
nmi_leave:
#if defined FAULT_lost_wake_up
    btrl    $0, nmi_pending
nmi_window:
    jc      nmi_again
    movl    $0, nmi_running             // an NMI that came behind the look has set nmi_pending for nobody
nmi_iret:
    iretq
#elif defined NMI_LATCH
    decl    nmi_running
    jnz     nmi_again
    iretq
#elif defined NMI_LEVELS
nmi_iret:
    iretq
#else
    movq    $nmi_frame, %rsp
#ifdef FAULT_popf_return
    testb   $3, 8(%rsp)
    jnz     nmi_iret
    movq    24(%rsp), %rsp
    pushq   nmi_frame + 8
    pushq   nmi_frame
    pushq   nmi_frame + 16
    popfq
    lretq
#endif
nmi_iret:
    iretq
#endif
nmi_leave_end:

#ifdef NMI_LATCH
nmi_nested:
#ifdef FAULT_lost_wake_up
    movl    $1, nmi_pending
#else
    movl    $2, nmi_running
#endif
    popq    %rdx
    iretq
nmi_nested_at_end:
    movl    $1, nmi_running
    movq    $nmi_again, 8(%rsp)
    popq    %rdx
    iretq
#endif
nmi_end:

    .data
    .balign 16
    .skip   256                         // for a trap at its IRET
nmi_frame:
    .quad   0, 0, 0, 0, USER_DATA
    .balign 8
nmi_running:
    .quad   0
nmi_pending:
    .quad   0

    .bss
    .balign 4096
nmi_levels:
    .skip   4 * LEVEL_SIZE
nmi_levels_end:
    .skip   4096
    .globl  nmi_stack_end
nmi_stack_end:

    .text
