// SPDX-License-Identifier: MIT
// Assembler macros shared by the twin entry files.
#ifndef NMISAFE_TRAP_ENTRY_MACROS_H
#define NMISAFE_TRAP_ENTRY_MACROS_H

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

#endif // __ASSEMBLER__
#endif
