// SPDX-License-Identifier: MIT
// NMIs at a CPU that starts, before it has an IDT of the kernel's: assembly only.
//
// In real mode, in protected mode and in long mode the CPU looks for vector 2 at another place in the
// table that IDTR names, and takes what it finds there for something else:
//
//   real mode          +0x08  4 bytes: IP and CS
//   protected mode     +0x10  8 bytes: a gate
//   long mode          +0x20  16 bytes: a gate
//
// so one table serves all three, and is loaded once, by the first instruction. A mode may then change at
// any instruction. The handlers remember the NMI, for the CPU raises one at itself when it is ready
// (smp.cpp), and go back by IRET: who runs is nobody's NMI handler. They are in the trampoline's page,
// whose addresses are known here, and can be reached at its low address while the boot page tables
// are in use, and at the direct map's with either.
#ifndef KERNEL_BOOT_EARLY_VECTORS_H
#define KERNEL_BOOT_EARLY_VECTORS_H

#include "kernel/boot/layout.h"

#define TRAMPOLINE_OFFSET(symbol) (symbol - kernel_trampoline_begin)
#define COPIED(symbol) (TRAMPOLINE_OFFSET(symbol) + KERNEL_TRAMPOLINE)
#define TRAMPOLINE_STACK_TOP (KERNEL_TRAMPOLINE + 0x1000) // in the same page, for NMIs alone

#define EARLY_TABLE_SIZE 0x30
#define EARLY_REAL 0x08
#define EARLY_GATE_32 0x10
#define EARLY_GATE_64 0x20
#define PRESENT_INTERRUPT_GATE 0x8e00

/// Begins at the table; its end is EARLY_TABLE_SIZE later. \base: the address of the page, less its low
/// 16 bits.
.macro early_table real:req, protected:req, selector:req
    .skip   EARLY_REAL
    .word   TRAMPOLINE_OFFSET(\real), KERNEL_TRAMPOLINE >> 4
    .skip   EARLY_GATE_32 - EARLY_REAL - 4
    .word   COPIED(\protected), \selector, PRESENT_INTERRUPT_GATE, 0
    .skip   EARLY_GATE_64 - EARLY_GATE_32 - 8
.endm

/// NMI in real mode, on any stack.
.macro early_real_handler word:req
    lock incl %cs:TRAMPOLINE_OFFSET(\word)
    iretw
.endm

/// NMI in protected mode, before and after its first far jump: until then CS is the one of real mode,
/// and no IRET could load it. Then it goes where that jump would have gone: \next in \selector.
.macro early_protected_handler word:req, selector:req, next:req
    lock incl %ss:COPIED(\word)
    cmpw    $\selector, 4(%esp)
    je      1f
    movl    $\selector, 4(%esp)
    movl    $\next, (%esp)
1:  iretl
.endm

#endif
