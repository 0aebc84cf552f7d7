// SPDX-License-Identifier: MIT
// x86-32: where the task of a double fault starts, on its own stack, with everything the CPU had in
// its registers saved in the interrupted task's TSS. It does not return. [intel/vol3 7.3]
#ifdef __i386__

    .text
    .globl  kernel_double_fault_task
    .type   kernel_double_fault_task, @function
kernel_double_fault_task:
    call    kernel_double_fault         // panic.cpp; the error code the CPU pushed is always 0
    ud2
    .size   kernel_double_fault_task, . - kernel_double_fault_task
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
