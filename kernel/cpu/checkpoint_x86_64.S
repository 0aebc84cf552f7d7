// SPDX-License-Identifier: MIT
// x86-64: checkpoint.hpp. The twin of checkpoint_x86_32.S.
#ifdef __x86_64__

#include "kernel/boot/layout.h"
#include "kernel/cpu/per_cpu_layout.h"
#include "nmisafe/x86/flags.h"

// struct checkpoint
#define IP 0x00
#define SP 0x08
#define FLAGS 0x10
#define BX 0x18
#define BP 0x20
#define R12 0x28
#define R13 0x30
#define R14 0x38
#define R15 0x40
#define PREEMPT_COUNT 0x48
#define NMI_IN_PROGRESS 0x4c
#define NMI_LIKE_IN_PROGRESS 0x50
#define SSP 0x58

#define IRET_FRAME 0x28 // RIP, CS, RFLAGS, RSP, SS

    .text
    .globl  kernel_checkpoint_save
    .type   kernel_checkpoint_save, @function
kernel_checkpoint_save:
    movq    (%rsp), %rax
    movq    %rax, IP(%rdi)
    leaq    8(%rsp), %rax
    movq    %rax, SP(%rdi)
    pushfq
    popq    FLAGS(%rdi)
    movq    %rbx, BX(%rdi)
    movq    %rbp, BP(%rdi)
    movq    %r12, R12(%rdi)
    movq    %r13, R13(%rdi)
    movq    %r14, R14(%rdi)
    movq    %r15, R15(%rdi)
    movl    %gs:CPU_PREEMPT_COUNT, %eax
    movl    %eax, PREEMPT_COUNT(%rdi)
    movl    %gs:CPU_NMI_IN_PROGRESS, %eax
    movl    %eax, NMI_IN_PROGRESS(%rdi)
    movl    %gs:CPU_NMI_LIKE_IN_PROGRESS, %eax
    movl    %eax, NMI_LIKE_IN_PROGRESS(%rdi)
    xorl    %eax, %eax
#ifdef NMISAFE_SHADOW_STACK
    rdsspq  %rax
    testq   %rax, %rax
    jz      1f
    addq    $8, %rax
1:  movq    %rax, SSP(%rdi)
    xorl    %eax, %eax
#endif
    ret
    .size   kernel_checkpoint_save, . - kernel_checkpoint_save

// The frame for the IRET is built on the stack that is gone back to, below the saved RSP: the NMI's
// own stack is the one place where the next NMI would run over it.
    .globl  kernel_checkpoint_resume
    .type   kernel_checkpoint_resume, @function
kernel_checkpoint_resume:
    cli
    movq    SP(%rdi), %rcx
    leaq    -IRET_FRAME(%rcx), %rsp
    pushq   %rdi
    call    kernel_abandon_nmi          // not earlier: the next NMI begins the NMI's stack anew
    popq    %rdi
    movq    SP(%rdi), %rcx
    movl    PREEMPT_COUNT(%rdi), %eax
    movl    %eax, %gs:CPU_PREEMPT_COUNT
    movl    NMI_IN_PROGRESS(%rdi), %eax
    movl    %eax, %gs:CPU_NMI_IN_PROGRESS
    movl    NMI_LIKE_IN_PROGRESS(%rdi), %eax
    movl    %eax, %gs:CPU_NMI_LIKE_IN_PROGRESS
    movq    IP(%rdi), %rax
    movq    %rax, 0x00(%rsp)
    movq    $KERNEL_CODE_SELECTOR, 0x08(%rsp)
    movq    FLAGS(%rdi), %rdx
    movq    %rdx, 0x10(%rsp)
    movq    %rcx, 0x18(%rsp)
    movq    $KERNEL_DATA_SELECTOR, 0x20(%rsp)
    movq    BX(%rdi), %rbx
    movq    BP(%rdi), %rbp
    movq    R12(%rdi), %r12
    movq    R13(%rdi), %r13
    movq    R14(%rdi), %r14
    movq    R15(%rdi), %r15
#ifdef NMISAFE_SHADOW_STACK
// Likewise what the IRET pops off the shadow stack, and a token to go there by. Then the shadow stack
// that was left is free again: one of an IST has its token in its page's last word.
    xorl    %esi, %esi
    rdsspq  %rsi
    testq   %rsi, %rsi
    jz      1f
    movq    SSP(%rdi), %rdx
    wrssq   %rdx, -X86_SHADOW_SIZE + X86_SHADOW_SSP(%rdx)
    wrssq   %rax, -X86_SHADOW_SIZE + X86_SHADOW_IP(%rdx)
    movl    $KERNEL_CODE_SELECTOR, %eax
    wrssq   %rax, -X86_SHADOW_SIZE + X86_SHADOW_CS(%rdx)
    leaq    -X86_SHADOW_SIZE + X86_SHADOW_TOKEN_64_BIT(%rdx), %rax
    wrssq   %rax, -X86_SHADOW_SIZE - 8(%rdx)
    rstorssp -X86_SHADOW_SIZE - 8(%rdx)
    movl    $1, %eax
    incsspq %rax
    orq     $0xff8, %rsi
    andq    $~7, %rsi
    leaq    X86_SHADOW_TOKEN_BUSY(%rsi), %rax
    cmpq    %rax, (%rsi)
    jne     1f
    wrssq   %rsi, (%rsi)
1:
#endif
    movl    $1, %eax
    iretq                               // why an IRET: an NMI handler is abandoned, NMIs are blocked
    .size   kernel_checkpoint_resume, . - kernel_checkpoint_resume
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
