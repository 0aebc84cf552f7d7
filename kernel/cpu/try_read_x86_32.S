// SPDX-License-Identifier: MIT
// x86-32: try_read.hpp. The twin of try_read_x86_64.S.
#ifdef __i386__

    .text
/// bool kernel_try_read(const uint32_t* address, uint32_t* value)
    .globl  kernel_try_read, kernel_try_read_access
    .type   kernel_try_read, @function
kernel_try_read:
    movl    4(%esp), %eax
    movl    8(%esp), %edx
kernel_try_read_access:
    movl    (%eax), %ecx
    movl    %ecx, (%edx)
    movl    $1, %eax
    ret
    .size   kernel_try_read, . - kernel_try_read

/// bool kernel_try_write(uint32_t* address, uint32_t value)
    .globl  kernel_try_write, kernel_try_write_access
    .type   kernel_try_write, @function
kernel_try_write:
    movl    4(%esp), %eax
    movl    8(%esp), %edx
kernel_try_write_access:
    movl    %edx, (%eax)
    movl    $1, %eax
    ret
    .size   kernel_try_write, . - kernel_try_write

/// bool kernel_try_execute(const void* address)
    .globl  kernel_try_execute
    .type   kernel_try_execute, @function
kernel_try_execute:
    movl    4(%esp), %edx
    movl    $1, %eax
    notrack jmp *%edx                   // no CALL: a fetch that faults finds the stack as it was
    .size   kernel_try_execute, . - kernel_try_execute

    .globl  kernel_try_failed
kernel_try_failed:                      // the stack is as it was when any was called
    xorl    %eax, %eax
    ret
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
