// SPDX-License-Identifier: MIT
// An NMI's entry begun by software, so that NMIs are not blocked in it: every boundary from its second instruction
// on is open to a real one. Both widths.
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/nmi_shadow_stack_x86_64.h"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/vectors.h"

#ifdef __x86_64__
#define WORDS rbx, rbp, r12, r13, r14, r15
#define WORDS_BACK r15, r14, r13, r12, rbp, rbx
#define PATTERNED rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
#else
#define WORDS ebx, ebp, esi, edi
#define WORDS_BACK edi, esi, ebp, ebx
#define PATTERNED eax, ebx, ecx, edx, esi, edi, ebp
#endif

    .text

/// All registers but the stack's and RDI become a pattern; true in EAX if they still are it.
.macro load_pattern
    .set    pattern, 0x10001
    .irp    register, PATTERNED
    mov     $pattern, %\register
    .set    pattern, pattern + 0x10001
    .endr
.endm
.macro compare_pattern
    .set    pattern, 0x10001
    .irp    register, PATTERNED
    cmp     $pattern, %\register
    jne     1f
    .set    pattern, pattern + 0x10001
    .endr
    movl    $1, %eax
    jmp     2f
1:  xorl    %eax, %eax
2:
.endm

#ifdef NMISAFE_SHADOW_STACK
/// The same on that level's shadow stack, whose token becomes busy, and the interrupt SSP table moved on: first, as a
/// real NMI from then on must not push over the words. A token below them lets RSTORSSP switch to them.
.macro push_shadow_as_cpu level:req, from:req
    lower_shadow_stack NMI_BLOCK_SSP(%rdi)
    read_shadow_stack none=.Lpushed\@
    movq    NMI_BLOCK_SHADOW_STACK(%rdi), %rdx
    addq    $\level * NMI_SHADOW_STRIDE, %rdx
    leaq    X86_SHADOW_TOKEN_BUSY(%rdx), %rax
    wrssq   %rax, (%rdx)
    subq    $X86_SHADOW_SIZE, %rdx
    wrssq   %rcx, X86_SHADOW_SSP(%rdx)
    leaq    \from(%rip), %rax
    wrssq   %rax, X86_SHADOW_IP(%rdx)
    movl    %cs, %eax
    wrssq   %rax, X86_SHADOW_CS(%rdx)
    leaq    X86_SHADOW_TOKEN_64_BIT(%rdx), %rax
    wrssq   %rax, -8(%rdx)
    rstorssp -8(%rdx)
    movl    $1, %eax
    incsspq %rax
.Lpushed\@:
.endm
#endif

/// What the CPU pushes for an NMI of a level, and what an NMI's entry does about it first: the IST entry lowered, with
/// shadow stacks the table of those moved on. RDI: the block.
.macro push_as_cpu level:req, from:req
    movq    %rsp, %rsi
    subq    $NMI_STRIDE, NMI_BLOCK_IST(%rdi)
#ifdef NMISAFE_SHADOW_STACK
    push_shadow_as_cpu \level, \from
#endif
    .set    top, -\level * NMI_STRIDE
    leaq    \from(%rip), %rax
    movq    %rax, top - 40(%rdi)
    movl    %cs, %eax
    movq    %rax, top - 32(%rdi)
    pushfq
    popq    top - 24(%rdi)
    movq    %rsi, top - 16(%rdi)
    movl    %ss, %eax
    movq    %rax, top - 8(%rdi)
    load_pattern
    leaq    top - 40(%rdi), %rsp
.endm

.macro software_nmi name:req, level:req, entry:req, sled=WINDOW_SLED
    .globl  \name, \name\()_begin, \name\()_end
    .type   \name, @function
    .balign 16
\name:
    .irp    register, WORDS
    push    %\register
    .endr
    .rept   \sled
    nop
    .endr
\name\()_begin:
#ifdef __x86_64__
    push_as_cpu \level, \name\()_end
    jmp     \entry
#else
    load_pattern
    int     $X86_VECTOR_NMI             // which blocks nothing [intel/vol3 6.7]
#endif
\name\()_end:
    compare_pattern
    .irp    register, WORDS_BACK
    pop     %\register
    .endr
    ret
    .size   \name, . - \name
.endm

// bool window_software_nmi(nmi_block*): whether all registers came back. x86-32: the argument is not used.
software_nmi window_software_nmi, 0, nmisafe_trap_nmi_lowered

// The same in an NMI's handler. x86-64: as level 1, from behind its lowering of the IST entry on, so that a real
// NMI is at level 2.
software_nmi window_nested_nmi, 1, nmisafe_trap_nmi_level_1, 0

#if defined __i386__ && defined NMISAFE_PAGE_TABLE_ISOLATION
#define CPU_WORD(offset) (NMISAFE_USER_CPU + (offset))

// bool window_task_nmi(void): window_software_nmi as an NMI finds a system call's first instructions, with the page tables
// of user mode, which map this code for it, and on the entry stack. True if those are there again too.
//
//   entry stack ->  | CR3 of the caller |
//                   | its ESP           |  <- ESP at the INT
    .globl  window_task_nmi, window_task_nmi_end
    .type   window_task_nmi, @function
    .balign 16
window_task_nmi:
    .irp    register, WORDS
    push    %\register
    .endr
    .rept   WINDOW_SLED
    nop
    .endr
    movl    %esp, %edx
    movl    %cr3, %ecx
    movl    %gs:CPU_WORD(USER_ENTRY_STACK), %esp
    pushl   %ecx
    pushl   %edx
    movl    %gs:CPU_WORD(USER_TASK_TABLES), %eax
    movl    %eax, %cr3
    load_pattern
    int     $X86_VECTOR_NMI
    compare_pattern
    movl    %cr3, %ecx
    cmpl    %gs:CPU_WORD(USER_TASK_TABLES), %ecx
    je      1f
    xorl    %eax, %eax
1:  popl    %edx
    popl    %ecx
    movl    %ecx, %cr3
    movl    %edx, %esp
    .irp    register, WORDS_BACK
    pop     %\register
    .endr
    ret
window_task_nmi_end:
    .size   window_task_nmi, . - window_task_nmi
#endif

// void faulting_iret(void): an IRET to a null code segment. Its #GP is resumed at faulting_iret_done.
    .globl  faulting_iret, faulting_iret_done
    .type   faulting_iret, @function
faulting_iret:
#ifdef __x86_64__
    movq    %rsp, %rax
    pushq   $0
    pushq   %rax
    pushfq
    pushq   $0
    pushq   $0
    iretq
faulting_iret_done:
    leaq    40(%rsp), %rsp
#else
    pushfl
    pushl   $0
    pushl   $0
    iretl
faulting_iret_done:
    leal    12(%esp), %esp
#endif
    ret
    .size   faulting_iret, . - faulting_iret

    .section .note.GNU-stack, "", @progbits
