// SPDX-License-Identifier: MIT
// Assembler macros shared by the twin entry files.
#ifndef NMISAFE_TRAP_ENTRY_MACROS_H
#define NMISAFE_TRAP_ENTRY_MACROS_H

#define NMISAFE_RETURN_CFI // before return_x86_*.h

#include "nmisafe/x86/indirect_target.h"
#include "nmisafe/x86/vectors.h"

#ifdef __ASSEMBLER__

#ifdef __x86_64__
#define WORD 8
#define SP rsp
#else
#define WORD 4
#define SP esp
#endif

/// push and pop with the unwind information they change
.macro push_reg register:req
    push    %\register
    .cfi_adjust_cfa_offset WORD
    .cfi_rel_offset %\register, 0
.endm

.macro pop_reg register:req
    pop     %\register
    .cfi_adjust_cfa_offset -WORD
    .cfi_restore %\register
.endm

/// A function whose CFA is described by hand, for code that is entered by the CPU.
.macro trap_code name:req
    .globl  \name
    .type   \name, @function
\name:
    .cfi_startproc simple
    .cfi_signal_frame                   // the saved IP is exact, not a return address
.endm

.macro end_trap_code name:req
    .cfi_endproc
    .size   \name, . - \name
.endm

#ifdef __x86_64__
/// Describes the frame the CPU pushed, with \below bytes already under it.
.macro .cfi_hardware_frame below
    .cfi_def_cfa %rsp, 5 * 8 + \below
    .cfi_offset %rip, -5 * 8
    .cfi_offset %rsp, -2 * 8
.endm

/// All general registers. AX and CX first, so that they are popped last.
.macro push_registers
    .irp    register, rax, rcx, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    push_reg \register
    .endr
.endm

.macro pop_registers_but_ax_cx
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rbx
    pop_reg \register
    .endr
.endm

#define FRAME_ABOVE_CX (FRAME_IP - FRAME_CX)     // from the saved RCX to the hardware frame
#else
/// Describes the frame the CPU pushed, with \below bytes already under it.
.macro .cfi_hardware_frame below
    .cfi_def_cfa %esp, 3 * 4 + \below
    .cfi_offset %eip, -3 * 4
.endm

/// All general registers. AX and CX first, as on x86-64.
.macro push_registers
    .irp    register, eax, ecx, ebx, edx, esi, edi, ebp
    push_reg \register
    .endr
.endm

.macro pop_registers
    .irp    register, ebp, edi, esi, edx, ebx, ecx, eax
    pop_reg \register
    .endr
.endm
#endif

#define FRAME_BELOW_IP (FRAME_IP - FRAME_VECTOR) // vector and error code

/// What a stub pushes: the vector, and 0 where the CPU has pushed no error code. [intel/vol3 6.13]
.macro push_error_and_vector vector:req
    .if \vector >= X86_EXCEPTION_VECTORS || !((X86_ERROR_CODE_VECTORS >> (\vector & 31)) & 1)
    push    $0
    .endif
    .cfi_hardware_frame WORD
    push    $\vector
    .cfi_adjust_cfa_offset WORD
.endm

#endif // __ASSEMBLER__
#endif
