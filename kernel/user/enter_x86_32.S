// SPDX-License-Identifier: MIT
// x86-32: from a kernel thread into a task and, when that has ended, back. The twin of enter_x86_64.S.
//
// While a task runs its thread's stack has, below what called run_task():
//
//   | return address, ebx ebp esi edi, the ESP of here, a pad |
//   | frames from user mode                                    |  <- cpu_words::stack_top, a multiple of 16
#ifdef __i386__

#include "nmisafe/user/frame_x86_32.h"

    .text
/// void kernel_enter_task(void): goes on in kernel_begin_task(uintptr_t stack_top, user_frame* frame),
/// which fills in the frame and does not return
    .globl  kernel_enter_task
    .type   kernel_enter_task, @function
kernel_enter_task:
    .irp    register, ebx, ebp, esi, edi
    pushl   %\register
    .endr
    movl    %esp, %eax
    subl    $4, %esp
    andl    $-16, %esp
    movl    %eax, (%esp)
    movl    %esp, %eax
    subl    $USER_FRAME_SIZE, %esp
    movl    %esp, %edx
    pushl   %edx                        // arg 2: the first of the frames
    pushl   %eax                        // arg 1: where they end
    call    kernel_begin_task
    ud2
    .size   kernel_enter_task, . - kernel_enter_task

/// [[noreturn]] void kernel_leave_task(uintptr_t stack_top): kernel_enter_task() returns
    .globl  kernel_leave_task
    .type   kernel_leave_task, @function
kernel_leave_task:
    movl    4(%esp), %eax
    movl    (%eax), %esp
    .irp    register, edi, esi, ebp, ebx
    popl    %\register
    .endr
    ret
    .size   kernel_leave_task, . - kernel_leave_task
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
