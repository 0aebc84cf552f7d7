// SPDX-License-Identifier: MIT
// x86-32: the code of trace-example's tasks, which runs in ring 3 at another address: no absolute ones. Each function
// has a frame pointer, to be seen in chains of calls. The twin of example_task_x86_64.S.
#ifdef __i386__

#include "kernel/experiments/tracing/example_task.h"
#include "nmisafe/x86/indirect_target.h"

// What a function's stack looks like, from its second instruction on:
//
//   +1 word  return address
//   +0       the caller's frame pointer (0: of the task itself)   <- ESP, EBP
.macro task_function name:req
    .globl  \name
    .type   \name, @function
\name:
    pushl   %ebp
    movl    %esp, %ebp
.endm

.macro end_task_function name:req
    popl    %ebp
    ret
    .size   \name, . - \name
.endm

    .text
    .globl  example_task_begin, example_task_end
example_task_begin:
    .type   example_task, @function
example_task:
    indirect_target                     // its address is taken, in an image where that wants one
    xorl    %ebp, %ebp
1:  call    example_task_compute
    call    example_task_call_kernel
    call    example_task_touch_memory
    jmp     1b
    .size   example_task, . - example_task

task_function example_task_compute
    call    example_task_inner_loop
    call    example_task_inner_loop
end_task_function example_task_compute

task_function example_task_inner_loop
    movl    $EXAMPLE_TASK_TURNS, %ecx
1:  imull   $1664525, %edx, %edx
    decl    %ecx
    jnz     1b
end_task_function example_task_inner_loop

task_function example_task_call_kernel
    movl    $EXAMPLE_TASK_WORK, %eax
    int     $0x80
end_task_function example_task_call_kernel

task_function example_task_touch_memory
    movl    $EXAMPLE_TASK_FORGET, %eax
    int     $0x80
    movl    $EXAMPLE_TASK_LAZY, %ebx
    movb    $1, (%ebx)                // a page fault
end_task_function example_task_touch_memory
example_task_end:
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
