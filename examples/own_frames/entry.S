// SPDX-License-Identifier: MIT
// The kernel's own entries, with its own frame (struct frame in nmisafe_platform.hpp). Of nmisafe there are the macros
// of return_alone.h. No probe may stand here, between a #BP and its handler: the section says so.
#include "nmisafe/trap/return_alone.h"

#ifdef __x86_64__
#define WORD 8
#define SP %rsp
    .macro  save_registers
    .irp    register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbp, rbx, r12, r13, r14, r15
    pushq   %\register
    .endr
    .endm
    .macro  restore_registers
    .irp    register, r15, r14, r13, r12, rbx, rbp, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    popq    %\register
    .endr
    .endm
    .macro  call_handler function, above=0 // `above`: from SP to the frame
    leaq    \above(%rsp), %rdi
    movq    %rsp, %rbx
    andq    $-16, %rsp                  // as the ABI wants it
    call    \function
    movq    %rbx, %rsp
    .endm
#else
#define WORD 4
#define SP %esp
    .macro  save_registers
    pushal
    .endm
    .macro  restore_registers
    popal
    .endm
    .macro  call_handler function, above=0
    leal    \above(%esp), %eax
    pushl   %eax
    call    \function
    addl    $4, %esp
    .endm
#endif

    .section nmisafe_trap_text, "ax", @progbits

    .macro  exception_entry name, what, has_error_code
    .globl  \name\()_entry
\name\()_entry:
    .if     \has_error_code == 0
    push    $0
    .endif
    push    $\what
    save_registers
    cld
    call_handler own_\name
    restore_registers
    lea     2 * WORD(SP), SP            // `what`, the error code
#ifdef WITHOUT_NMISAFE
    jmp     kernel_iret
#else
    return_alone iret=kernel_iret, shadowed=\name\()_shadowed
#endif
    .endm
    exception_entry breakpoint, 3, 0
    exception_entry page_fault, 14, 1

#ifndef NMI_OF_LIBRARY
// It may interrupt the returns above. Its own is IRET.
    .globl  nmi_entry
nmi_entry:
    push    $0
    push    $2
    save_registers
    cld
#ifdef WITHOUT_NMISAFE
    call_handler own_nmi
#else
    save_cr2_and_dr7_alone              // two words
    call_handler own_nmi, above=2*WORD
    restore_cr2_and_dr7_alone
#endif
    restore_registers
    lea     2 * WORD(SP), SP
#ifndef WITHOUT_NMISAFE
    leave_interrupt_shadow_alone breakpoint_shadowed
    leave_interrupt_shadow_alone page_fault_shadowed
#endif
    jmp     kernel_iret
#endif

kernel_iret:
#ifdef __x86_64__
    iretq
#else
    iretl
#endif

    .section .note.GNU-stack, "", @progbits
