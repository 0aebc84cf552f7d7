// SPDX-License-Identifier: MIT
// An NMI's entry begun by software, so that NMIs are not blocked in it: every boundary from its second instruction
// on is open to a real one. Both widths.
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/vectors.h"

    .text
    .globl  window_software_nmi, window_software_nmi_begin, window_software_nmi_end
    .type   window_software_nmi, @function
    .balign 16
// bool window_software_nmi(nmi_block*): whether all registers came back. x86-32: the argument is not used.
window_software_nmi:
#ifdef __x86_64__
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    .rept   WINDOW_SLED
    nop
    .endr
window_software_nmi_begin:
    movq    %rsp, %rsi
    subq    $NMI_STRIDE, NMI_BLOCK_IST(%rdi) // the first instruction of the entry
    leaq    window_software_nmi_end(%rip), %rax
    movq    %rax, -40(%rdi)
    movl    %cs, %eax
    movq    %rax, -32(%rdi)
    pushfq
    popq    -24(%rdi)
    movq    %rsi, -16(%rdi)
    movl    %ss, %eax
    movq    %rax, -8(%rdi)
    .set    pattern, 0x10001
    .irp    register, rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    movq    $pattern, %\register
    .set    pattern, pattern + 0x10001
    .endr
    leaq    -40(%rdi), %rsp
    jmp     nmisafe_trap_nmi_entered
window_software_nmi_end:
    .set    pattern, 0x10001
    .irp    register, rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    cmpq    $pattern, %\register
    jne     1f
    .set    pattern, pattern + 0x10001
    .endr
    movl    $1, %eax
    jmp     2f
1:  xorl    %eax, %eax
2:  .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret
#else
    .irp    register, ebx, ebp, esi, edi
    pushl   %\register
    .endr
    .rept   WINDOW_SLED
    nop
    .endr
    .set    pattern, 0x10001
    .irp    register, eax, ebx, ecx, edx, esi, edi, ebp
    movl    $pattern, %\register
    .set    pattern, pattern + 0x10001
    .endr
window_software_nmi_begin:
    int     $X86_VECTOR_NMI             // which blocks nothing [intel/vol3 6.7]
window_software_nmi_end:
    .set    pattern, 0x10001
    .irp    register, eax, ebx, ecx, edx, esi, edi, ebp
    cmpl    $pattern, %\register
    jne     1f
    .set    pattern, pattern + 0x10001
    .endr
    movl    $1, %eax
    jmp     2f
1:  xorl    %eax, %eax
2:  .irp    register, edi, esi, ebp, ebx
    popl    %\register
    .endr
    ret
#endif
    .size   window_software_nmi, . - window_software_nmi

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
