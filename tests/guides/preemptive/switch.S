// SPDX-License-Identifier: MIT
// void switch_stacks(uintptr_t* saved_sp, uintptr_t new_sp): what the ABI wants kept, and the stack.
    .text
    .globl  switch_stacks
switch_stacks:
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret

    .section .note.GNU-stack, "", @progbits
