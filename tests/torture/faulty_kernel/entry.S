// SPDX-License-Identifier: MIT
// The entries of a small kernel of x86-64, and the user's loop that takes them. Without a FAULT_... defined each NMI at
// each boundary is survived; faults.toml says what each fault breaks, and where it is to be seen.
//
// The kernel has its own page tables' root and GS base, as one with isolated page tables has. An NMI handler
// hits a breakpoint and takes a page fault. How that is survived is chosen by the build:
//   nothing      a trap inside an NMI returns by POPF and a far RET, which leaves NMIs blocked
//   NMI_LATCH    it returns by IRET; an NMI in an NMI is latched by software and handled when the first one ends
//   NMI_LEVELS   it returns by IRET; an NMI in an NMI has a stack of its own
#include "tests/torture/faulty_kernel/layout.h"

// Behind an exception's error code and vector, what all entries push:
#define AT_IP      (17 * 8)
#define AT_CS      (18 * 8)
#define AT_FLAGS   (19 * 8)
#define AT_SP      (20 * 8)

    .macro push_registers
    pushq   %rax
    pushq   %rbx
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %rdi
    pushq   %rbp
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    .endm
    .macro pop_registers
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rbp
    popq    %rdi
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rbx
    popq    %rax
    .endm
    .macro load_root name
    movl    $\name, %eax
    movq    %rax, %cr3
    .endm

// From user mode the GS base and the page tables are the user's until here.
    .macro enter_kernel name
    push_registers
    testb   $3, AT_CS(%rsp)
    jz      1f
    swapgs
\name\()_has_gs:
    load_root kernel_table
1:  cld
    .endm

    .text
    .code64
trap_text:

// --- traps --------------------------------------------------------------------------------------------------------

    .globl  breakpoint_entry
breakpoint_entry:
    pushq   $0
    pushq   $3
    enter_kernel breakpoint
    incl    breakpoints
    // A copy from above, as memmove() makes one: for these instructions DF is set.
    leaq    copied + 24, %rdi
    leaq    copied + 16, %rsi
    std
breakpoint_backwards:
    movsq
    movsq
    cld
breakpoint_forwards:
    nop
breakpoint_behind:
    jmp     leave_kernel

// INT 0x80. It has a stack of its own, so its frame is at the same address each time. FAULT_shared_ist: so has the NMI's.
    .globl  software_entry
software_entry:
    pushq   $0
    pushq   $0x80
    enter_kernel software
    incl    software_interrupts
    load_root user_table
    swapgs
    pop_registers
    addq    $16, %rsp
software_iret:
    iretq
software_end:

    .globl  page_fault_entry
page_fault_entry:
    pushq   $14                         // the error code is there
    enter_kernel page_fault
page_fault_read:
    movq    %cr2, %rax
page_fault_has_address:
    movl    $NMI_PAGE, %edx
    testb   $3, AT_CS(%rsp)
    jz      1f
    movl    $USER_PAGE, %edx
1:  cmpq    %rdx, %rax
    jne     panic                       // the one page that each of them may touch
    shrq    $21, %rax
    orb     $1, directories(, %rax, 8)
    jmp     leave_kernel

leave_kernel:
    testb   $3, AT_CS(%rsp)
    jz      leave_to_kernel
    load_root user_table
leave_has_user_table:
    swapgs
leave_has_user_gs:
    pop_registers
    addq    $16, %rsp
leave_iret:
    iretq
leave_end:

leave_to_kernel:
#if !defined FAULT_iret_in_trap && !defined NMI_LATCH && !defined NMI_LEVELS
    cmpl    $0, %gs:CPU_IN_NMI
    je      1f
    // The NMI handler's stack was aligned at its trap, so the frame's end is where its stack pointer was: IP and CS are
    // moved there, above the flags. IRET would let the next NMI in. [intel/vol3 6.7.1]
    pop_registers
    addq    $16, %rsp
    pushq   (%rsp)
    popq    24(%rsp)
    pushq   8(%rsp)
    popq    32(%rsp)
    addq    $16, %rsp
    popfq
    lretq
1:
#endif
    pop_registers
    addq    $16, %rsp
    iretq

// What nobody expects, and what the kernel finds wrong. It does not return.
    .globl  panic
panic:
    cli
1:  jmp     1b

    .globl  double_fault_entry
double_fault_entry:
    jmp     panic

// --- the system call: the user's page goes away again ---------------------------------------------------------------

    .globl  syscall_entry
syscall_entry:
    swapgs
syscall_has_gs:
    movq    %rsp, %gs:CPU_USER_SP
    movq    %gs:CPU_KERNEL_SP, %rsp
syscall_has_stack:
    pushq   %rax
    load_root kernel_table
    andb    $0xfe, directories + USER_PAGE / 0x200000 * 8
    invlpg  USER_PAGE
    // The NMI's stack is set anew at each call: to where it is, so that nobody may see it.
    movq    nmi_stack_pointer, %rax
#ifdef FAULT_ist_in_pieces
    movq    $0, task + TASK_IST1        // no stack at all in the meantime
syscall_no_ist:
    nop
#endif
    movq    %rax, task + TASK_IST1
syscall_has_ist:
#ifdef FAULT_idt_reloaded
    lidt    no_idt                      // tables changed with NMIs on
syscall_no_idt:
    nop
    lidt    idt_register
syscall_has_idt:
#endif
    load_root user_table
syscall_has_user_table:
    popq    %rax
    movq    %gs:CPU_USER_SP, %rsp
syscall_has_user_stack:
    swapgs
syscall_return:
    sysretq
syscall_end:

#include "tests/torture/faulty_kernel/nmi_entry.S"

// --- user mode ------------------------------------------------------------------------------------------------------

// enter_user(): from the kernel, for ever.
    .globl  enter_user
enter_user:
    pushq   $USER_DATA
#ifdef FAULT_no_ist
    movl    $NO_ADDRESS, %eax           // a user may set it to anything
    pushq   %rax
#else
    pushq   $user_stack_end
#endif
    pushq   $2                          // IF clear: nothing but what the loop does
    pushq   $USER_CODE
    pushq   $user_begin
    load_root user_table
    iretq
user_begin:
    movl    $0x1234567, %r12d
user_loop:                              // each pass is as the one before
    nop
user_breakpoint:
    int3
user_behind_breakpoint:
    nop
    int     $0x80
user_behind_software:
    nop
    movl    $1, USER_PAGE
user_behind_page_fault:
    nop
    movl    $7, %eax
    syscall
user_behind_syscall:
    jmp     user_loop

    .bss
    .skip   256
user_stack_end:

    .data
    .balign 16
no_idt:
    .word   0
    .quad   0
    .balign 16
copied:
    .quad   1, 2, 3, 4
    .globl  nmi_stack_pointer
nmi_stack_pointer:
    .quad   nmi_stack_end
breakpoints:
    .long   0
software_interrupts:
    .long   0

    .section .note.GNU-stack, "", @progbits
