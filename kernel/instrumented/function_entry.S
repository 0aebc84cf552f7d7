// SPDX-License-Identifier: MIT
// What an image that is compiled with -pg -mfentry calls at the beginning of each function. A place to
// put a probe on: nothing on the way of a trap may come here.

    .text
    .globl  __fentry__
    .type   __fentry__, @function
__fentry__:
#ifdef __x86_64__
    incl    kernel_function_entries(%rip)
#else
    incl    kernel_function_entries
#endif
    ret
    .size   __fentry__, . - __fentry__

    .bss
    .balign 4
    .globl  kernel_function_entries
kernel_function_entries:
    .skip   4

    .section .note.GNU-stack, "", @progbits
