// SPDX-License-Identifier: MIT
// x86-64: from a kernel thread into a task and, when that has ended, back. The twin of enter_x86_32.S.
//
// While a task runs its thread's stack has, below what called run_task():
//
//   | return address, rbx rbp r12 r13 r14 r15          |
//   | a pad: SSP of what called run_task()             |
//   | frames from user mode                            |  <- cpu_words::stack_top, a multiple of 16
//
// and its shadow stack, where there is one,
//
//   | return address                                   |  <- SSP of what called run_task()
//   | up to three words that nobody uses               |
//   | token                                            |  <- cpu_words::shadow_stack
//
// An event from user mode wants the token and three words below it within 32 bytes, naturally aligned. [intel/vol2 INT n]
#ifdef __x86_64__

#include "nmisafe/trap/return_common.h"
#include "nmisafe/x86/trap_frame.h"

    .text
/// void kernel_enter_task(void): goes on in kernel_begin_task(uintptr_t stack_top, user_frame* frame, uintptr_t token),
/// which fills in the frame and does not return
    .globl  kernel_enter_task
    .type   kernel_enter_task, @function
kernel_enter_task:
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    xorl    %edx, %edx                  // arg 3: the token; 0 if there is no shadow stack
#ifdef NMISAFE_SHADOW_STACK
    xorl    %eax, %eax
    rdsspq  %rax
    pushq   %rax
    testq   %rax, %rax
    jz      2f
    leaq    -32(%rax), %rdx
    andq    $~31, %rdx
    addq    $24, %rdx
1:  balance_return_stack                // nothing but a CALL brings SSP there
    subq    $8, %rax
    cmpq    %rdx, %rax
    jne     1b
    wrssq   %rdx, (%rdx)                // not busy
2:
#else
    subq    $8, %rsp
#endif
    movq    %rsp, %rdi                  // arg 1: where the frames end
    subq    $FRAME_SIZE, %rsp
    movq    %rsp, %rsi                  // arg 2: the first of them
    call    kernel_begin_task
    ud2
    .size   kernel_enter_task, . - kernel_enter_task

/// [[noreturn]] void kernel_leave_task(uintptr_t stack_top): kernel_enter_task() returns
    .globl  kernel_leave_task
    .type   kernel_leave_task, @function
kernel_leave_task:
#ifdef NMISAFE_SHADOW_STACK
// All below what the caller had in use is of no use any more, the token neither.
    movq    (%rdi), %rax
    testq   %rax, %rax
    jz      2f
    rdsspq  %rcx
    movl    $1, %edx
1:  incsspq %rdx
    addq    $8, %rcx
    cmpq    %rax, %rcx
    jb      1b
2:
#endif
    leaq    8(%rdi), %rsp
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret
    .size   kernel_leave_task, . - kernel_leave_task
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
