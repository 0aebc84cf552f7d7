// SPDX-License-Identifier: MIT
// x86-32: from one thread's stack to another's. The twin of switch_x86_64.S.
//
// A thread that does not run has on its stack, at its saved ESP:
//
//   +0x14  0                     (a new thread only: nobody to return to)
//   +0x10  return address        into schedule(), or kernel_thread_begin
//   +0x00  edi esi ebp ebx, lowest first
//
// The flags are not switched: interrupts are off on both sides, and everything else in them is dead
// across a call. An NMI may land anywhere here: ESP points at a whole stack at every boundary.
#ifdef __i386__

#define NEW_STACK_SIZE 0x18

    .text
/// void kernel_switch_stacks(uintptr_t* saved_sp, uintptr_t new_sp)
    .globl  kernel_switch_stacks
    .type   kernel_switch_stacks, @function
kernel_switch_stacks:
    movl    4(%esp), %eax
    movl    8(%esp), %edx
    .irp    register, ebx, ebp, esi, edi
    pushl   %\register
    .endr
    movl    %esp, (%eax)
    movl    %edx, %esp
    .irp    register, edi, esi, ebp, ebx
    popl    %\register
    .endr
    ret
    .size   kernel_switch_stacks, . - kernel_switch_stacks

/// uintptr_t kernel_prepare_stack(uintptr_t top, uintptr_t unused): the saved ESP of a thread that has not run yet
    .globl  kernel_prepare_stack
    .type   kernel_prepare_stack, @function
kernel_prepare_stack:
    movl    4(%esp), %eax
    subl    $NEW_STACK_SIZE, %eax
    .irp    offset, 0x00, 0x04, 0x08, 0x0c, 0x14
    movl    $0, \offset(%eax)
    .endr
    movl    $kernel_thread_begin, 0x10(%eax)
    ret
    .size   kernel_prepare_stack, . - kernel_prepare_stack

/// [[noreturn]] void kernel_continue_on(uintptr_t stack_top, void (*function)())
    .globl  kernel_continue_on
    .type   kernel_continue_on, @function
kernel_continue_on:
    movl    8(%esp), %eax
    movl    4(%esp), %esp
    xorl    %ebp, %ebp
    call    *%eax
    ud2
    .size   kernel_continue_on, . - kernel_continue_on
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
