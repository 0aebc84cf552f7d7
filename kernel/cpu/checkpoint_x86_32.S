// SPDX-License-Identifier: MIT
// x86-32: checkpoint.hpp. The twin of checkpoint_x86_64.S.
#ifdef __i386__

#include "kernel/boot/layout.h"
#include "kernel/cpu/per_cpu_layout.h"

// struct checkpoint
#define IP 0x00
#define SP 0x04
#define FLAGS 0x08
#define BX 0x0c
#define BP 0x10
#define SI 0x14
#define DI 0x18
#define PREEMPT_COUNT 0x1c
#define NMI_IN_PROGRESS 0x20
#define NMI_LIKE_IN_PROGRESS 0x24

#define IRET_FRAME 0x0c // EIP, CS, EFLAGS

    .text
    .globl  kernel_checkpoint_save
    .type   kernel_checkpoint_save, @function
kernel_checkpoint_save:
    movl    4(%esp), %ecx
    movl    (%esp), %eax
    movl    %eax, IP(%ecx)
    leal    4(%esp), %eax
    movl    %eax, SP(%ecx)
    pushfl
    popl    FLAGS(%ecx)
    movl    %ebx, BX(%ecx)
    movl    %ebp, BP(%ecx)
    movl    %esi, SI(%ecx)
    movl    %edi, DI(%ecx)
    movl    %gs:CPU_PREEMPT_COUNT, %eax
    movl    %eax, PREEMPT_COUNT(%ecx)
    movl    %gs:CPU_NMI_IN_PROGRESS, %eax
    movl    %eax, NMI_IN_PROGRESS(%ecx)
    movl    %gs:CPU_NMI_LIKE_IN_PROGRESS, %eax
    movl    %eax, NMI_LIKE_IN_PROGRESS(%ecx)
    xorl    %eax, %eax
    ret
    .size   kernel_checkpoint_save, . - kernel_checkpoint_save

// The frame for the IRET is built below the saved ESP: that is where ESP must be, as this IRET does
// not load it.
    .globl  kernel_checkpoint_resume
    .type   kernel_checkpoint_resume, @function
kernel_checkpoint_resume:
    cli
    movl    4(%esp), %ecx
    movl    SP(%ecx), %edx
    leal    -IRET_FRAME(%edx), %esp
    pushl   %ecx
    call    kernel_abandon_nmi
    popl    %ecx
    movl    PREEMPT_COUNT(%ecx), %eax
    movl    %eax, %gs:CPU_PREEMPT_COUNT
    movl    NMI_IN_PROGRESS(%ecx), %eax
    movl    %eax, %gs:CPU_NMI_IN_PROGRESS
    movl    NMI_LIKE_IN_PROGRESS(%ecx), %eax
    movl    %eax, %gs:CPU_NMI_LIKE_IN_PROGRESS
    movl    IP(%ecx), %eax
    movl    %eax, 0x00(%esp)
    movl    $KERNEL_CODE_SELECTOR, 0x04(%esp)
    movl    FLAGS(%ecx), %eax
    movl    %eax, 0x08(%esp)
    movl    BX(%ecx), %ebx
    movl    BP(%ecx), %ebp
    movl    SI(%ecx), %esi
    movl    DI(%ecx), %edi
    movl    $1, %eax
    iretl                               // why an IRET: an NMI handler is abandoned, NMIs are blocked
    .size   kernel_checkpoint_resume, . - kernel_checkpoint_resume
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
