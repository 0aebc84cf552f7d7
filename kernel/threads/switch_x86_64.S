// SPDX-License-Identifier: MIT
// x86-64: from one thread's stack to another's. The twin of switch_x86_32.S.
//
// A thread that does not run has on its stack, at its saved RSP:
//
//   +0x38  0                     (a new thread only: nobody to return to; keeps the ABI's alignment)
//   +0x30  return address        into schedule(), or kernel_thread_begin
//   +0x00  r15 r14 r13 r12 rbp rbx, lowest first
//   -0x08  in an image for shadow stacks: the token on its shadow stack, 0 without one
//
// There the shadow stack is switched second, by the token of the one and the word from which the CPU
// makes the other's. In between an event that stays on this stack pushes on the other one's shadow
// stack, and takes it off again.
//
// The flags are not switched: interrupts are off on both sides, and everything else in them is dead
// across a call. An NMI may land anywhere here: RSP points at a whole stack at every boundary.
#ifdef __x86_64__

#define NEW_STACK_SIZE 0x40

    .text
/// void kernel_switch_stacks(uintptr_t* saved_sp, uintptr_t new_sp)
    .globl  kernel_switch_stacks
    .type   kernel_switch_stacks, @function
kernel_switch_stacks:
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
#ifdef NMISAFE_SHADOW_STACK
    xorl    %eax, %eax
    rdsspq  %rax
    testq   %rax, %rax
    jz      1f
    subq    $8, %rax                    // where SAVEPREVSSP will put the token
1:  pushq   %rax
#endif
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
#ifdef NMISAFE_SHADOW_STACK
    popq    %rax
    testq   %rax, %rax
    jz      2f
    rstorssp (%rax)
    saveprevssp
2:
#endif
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret
    .size   kernel_switch_stacks, . - kernel_switch_stacks

/// uintptr_t kernel_prepare_stack(uintptr_t top, uintptr_t shadow_token): the saved RSP of a thread
/// that has not run yet
    .globl  kernel_prepare_stack
    .type   kernel_prepare_stack, @function
kernel_prepare_stack:
    leaq    -NEW_STACK_SIZE(%rdi), %rax
    .irp    offset, 0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x38
    movq    $0, \offset(%rax)
    .endr
    movq    $kernel_thread_begin, 0x30(%rax)
#ifdef NMISAFE_SHADOW_STACK
    subq    $8, %rax
    movq    %rsi, (%rax)
#endif
    ret
    .size   kernel_prepare_stack, . - kernel_prepare_stack

/// [[noreturn]] void kernel_continue_on(uintptr_t stack_top, void (*function)())
    .globl  kernel_continue_on
    .type   kernel_continue_on, @function
kernel_continue_on:
    movq    %rdi, %rsp
    xorl    %ebp, %ebp
    call    *%rsi
    ud2
    .size   kernel_continue_on, . - kernel_continue_on
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
