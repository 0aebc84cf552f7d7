// SPDX-License-Identifier: MIT
// The NMI and isolated page tables: CR3 may be that of user mode although the kernel runs, at the begin and the end of
// its own entries, so the NMI believes nothing. It loads the kernel's, if CR3 is not that already, and puts back
// what it has found. Without NMISAFE_PAGE_TABLE_ISOLATION no macro here has an instruction.
//
// Until then, and afterwards, only the NMI's stack with the block, this text and the IDT, GDT and TSS are touched.
//
// A nested NMI needs no more than that itself, so it leaves CR3 alone. Wherever it lands:
//   - before the load, or after found_tables is written: the outer one goes on with the CR3 it had
//   - in the exit, CR3 put back or not: the redo loads the kernel's again, and found_tables is still the first one's
//   - at the last IRET it is none but a fresh one, and finds the CR3 that the outer one has put back
#ifndef NMISAFE_TRAP_NMI_TABLES_X86_64_H
#define NMISAFE_TRAP_NMI_TABLES_X86_64_H

#ifdef __ASSEMBLER__

/// RSP -> trap_frame. RAX and RCX are lost.
.macro load_kernel_tables_in_nmi
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %cr3, %rax
    movq    %rax, FRAME_SIZE + NMI_BLOCK_FOUND_TABLES(%rsp)
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_TABLES, nmisafe_trap_removed(%rip)
    jnz     .Lkernel_tables\@
#endif
    movq    FRAME_SIZE + NMI_BLOCK_KERNEL_TABLES(%rsp), %rcx
    cmpq    %rax, %rcx
    je      .Lkernel_tables\@           // a load flushes the TLB
    movq    %rcx, %cr3
.Lkernel_tables\@:
#endif
.endm

/// The block is at \block(%rsp). RAX is lost.
.macro put_back_tables block:req
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_TABLES_BACK, nmisafe_trap_removed(%rip)
    jnz     .Ltables_are_back\@
#endif
    movq    NMI_BLOCK_FOUND_TABLES + \block(%rsp), %rax
    cmpq    NMI_BLOCK_KERNEL_TABLES + \block(%rsp), %rax
    je      .Ltables_are_back\@
    movq    %rax, %cr3
.Ltables_are_back\@:
#endif
.endm

/// Whether they had been put back or not. The block is at \block from \base. RAX is lost.
.macro load_kernel_tables_again base:req, block:req
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    NMI_BLOCK_KERNEL_TABLES + \block(\base), %rax
    movq    %rax, %cr3
#endif
.endm

#endif // __ASSEMBLER__
#endif
