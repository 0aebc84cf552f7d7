// SPDX-License-Identifier: MIT
// x86-64: try_read.hpp. The twin of try_read_x86_32.S.
#ifdef __x86_64__

    .text
/// bool kernel_try_read(const uint32_t* address, uint32_t* value)
    .globl  kernel_try_read, kernel_try_read_access
    .type   kernel_try_read, @function
kernel_try_read:
kernel_try_read_access:
    movl    (%rdi), %ecx
    movl    %ecx, (%rsi)
    movl    $1, %eax
    ret
    .size   kernel_try_read, . - kernel_try_read

/// bool kernel_try_write(uint32_t* address, uint32_t value)
    .globl  kernel_try_write, kernel_try_write_access
    .type   kernel_try_write, @function
kernel_try_write:
kernel_try_write_access:
    movl    %esi, (%rdi)
    movl    $1, %eax
    ret
    .size   kernel_try_write, . - kernel_try_write

/// bool kernel_try_execute(const void* address)
    .globl  kernel_try_execute
    .type   kernel_try_execute, @function
kernel_try_execute:
    movl    $1, %eax
    notrack jmp *%rdi                   // no CALL: a fetch that faults finds the stack as it was
    .size   kernel_try_execute, . - kernel_try_execute

    .globl  kernel_try_failed
kernel_try_failed:                      // the stack is as it was when any was called
    xorl    %eax, %eax
    ret
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
