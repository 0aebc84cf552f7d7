// SPDX-License-Identifier: MIT
// The kernel's own entries, with its own frame (struct frame in kernel.c). Of nmisafe there are four macros; what
// LEFT_OUT_... and WITHOUT_NMISAFE take out, the README tells.
#include "nmisafe/trap/return_alone.h"

#ifndef FORM
#define FORM near
#endif

#ifdef __x86_64__
#define WORD 8
#define SP %rsp
    .macro  call_handler function, above=0 // `above`: from SP to the frame
    leaq    \above(%rsp), %rdi
    call    \function
    .endm
    .macro  save_registers
    .irp    register, rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11
    pushq   %\register
    .endr
    .endm
    .macro  restore_registers
    .irp    register, r11, r10, r9, r8, rdi, rsi, rbx, rdx, rcx, rax
    popq    %\register
    .endr
    .endm
#else
#define WORD 4
#define SP %esp
    .macro  call_handler function, above=0
    leal    \above(%esp), %eax
    pushl   %eax
    call    \function
    addl    $4, %esp
    .endm
    .macro  save_registers
    pushal
    .endm
    .macro  restore_registers
    popal
    .endm
#endif

    .macro  return_from_exception shadowed
#ifdef WITHOUT_NMISAFE
    jmp     kernel_iret
#else
#ifdef LEFT_OUT_RF
    testl   $X86_FLAGS_RF, HARDWARE_FLAGS(SP)
    jnz     kernel_iret
#endif
    return_alone iret=kernel_iret, shadowed=\shadowed, form=FORM
#endif
    .endm

    .text
    .globl  breakpoint_entry
breakpoint_entry:
    push    $0                          // where other exceptions have an error code
    save_registers
    cld
    call_handler on_breakpoint
    restore_registers
    lea     WORD(SP), SP
#ifdef LEFT_OUT_BREAKPOINT
    jmp     kernel_iret
#endif
    return_from_exception breakpoint_shadowed

    .globl  page_fault_entry
page_fault_entry:
    save_registers
    cld
    call_handler on_page_fault
    restore_registers
    lea     WORD(SP), SP
    return_from_exception page_fault_shadowed

// What comes where NMIs come: it may interrupt the returns above. Up to its own return, which is IRET.
    .macro  nmi_like handler, shadows
    push    $0
    save_registers
    cld
#if defined(LEFT_OUT_BREAKPOINTS) || defined(WITHOUT_NMISAFE)
    call_handler \handler
#else
    save_cr2_and_dr7_alone              // two words
    call_handler \handler, above=2*WORD
#ifdef LEFT_OUT_RESTORE
    lea     2 * WORD(SP), SP
#else
    restore_cr2_and_dr7_alone
#endif
#endif
    restore_registers
    lea     WORD(SP), SP
#ifndef WITHOUT_NMISAFE
    .if \shadows
    leave_interrupt_shadow_alone breakpoint_shadowed
    leave_interrupt_shadow_alone page_fault_shadowed
    .endif
#endif
    .endm

#ifdef LEFT_OUT_SHADOW
#define NMI_SHADOWS 0
#else
#define NMI_SHADOWS 1
#endif
#ifdef LEFT_OUT_DEBUG_SHADOW
#define DEBUG_SHADOWS 0
#else
#define DEBUG_SHADOWS 1
#endif

    .globl  debug_entry
debug_entry:
    nmi_like on_debug, DEBUG_SHADOWS
    jmp     kernel_iret

    .globl  nmi_entry
nmi_entry:
    nmi_like on_nmi, NMI_SHADOWS
#ifdef LEFT_OUT_IRET
    return_alone iret=kernel_iret, shadowed=nmi_shadowed
#endif
kernel_iret:
#ifdef __x86_64__
    iretq
#else
    iretl
#endif

    .section .note.GNU-stack, "", @progbits
