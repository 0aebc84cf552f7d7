// SPDX-License-Identifier: MIT
// What the NMI-safe returns of both widths share.
#ifndef NMISAFE_TRAP_RETURN_COMMON_H
#define NMISAFE_TRAP_RETURN_COMMON_H

#ifdef __ASSEMBLER__

#if defined NMISAFE_TRAP_RETURN_CAPTURE && defined NMISAFE_PAGE_TABLE_ISOLATION // as policy.hpp
#error "NMISAFE_TRAP_RETURN_CAPTURE: not with NMISAFE_PAGE_TABLE_ISOLATION"
#endif

#ifdef __x86_64__
#define RETURN_WORD 8
#define RETURN_SP %rsp
#else
#define RETURN_WORD 4
#define RETURN_SP %esp
#endif

// Unwind information is opt-in, because outside of .cfi_startproc the assembler refuses it: define
// NMISAFE_RETURN_CFI before the first of these headers.
#ifdef NMISAFE_RETURN_CFI
#define RETURN_CFI(...) __VA_ARGS__
#else
#define RETURN_CFI(...)
#endif

/// A trap pushes no entry on the CPU's return stack buffer but RET takes one: the interrupted code's
/// own returns would all be mispredicted. So one is pushed first: a call, not of the next instruction
/// (CPUs take that for a way to read the instruction pointer), whose return address is dropped from the
/// real stack. Behind the call stands what a mispredicted RET may run: nothing. bench/ measures it.
.macro balance_return_stack
    call    .Lbalanced\@
    ud2
.Lbalanced\@:
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
    lea     RETURN_WORD(RETURN_SP), RETURN_SP
    RETURN_CFI(.cfi_adjust_cfa_offset -RETURN_WORD)
.endm

/// The end of a return before its last instruction, which it names. With \interrupts STI stands directly
/// before that one: its shadow covers no other. What an NMI in the shadow needs is in trap/shadow.hpp.
.macro end_return interrupts:req, name:req
    .if \interrupts
    sti
    .endif
    .ifnc \name,none
    .globl  \name
\name:
    .endif
.endm

#endif // __ASSEMBLER__
#endif
