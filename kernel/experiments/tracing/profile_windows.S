// SPDX-License-Identifier: MIT
// Code whose frame pointer is none, and the window of a walk, for both widths.
#include "kernel/experiments/shared/window_macros.h"

#ifdef __x86_64__
#define BP %rbp
#define UNTIL %rdx
#else
#define BP %ebp
#define UNTIL %edx
#endif

    .text

// void spin_with_frame_pointer(uintptr_t frame_pointer, uint32_t turns, const uint32_t* until):
//
//   +2 words .. +4  the arguments (x86-32)
//   +1 word         return address
//   +0              the caller's frame pointer   <- SP
    .globl  spin_with_frame_pointer
    .type   spin_with_frame_pointer, @function
spin_with_frame_pointer:
    push    BP
#ifdef __x86_64__
    movl    %esi, %ecx
    movq    %rdi, BP
#else
    movl    12(%esp), %ecx
    movl    16(%esp), UNTIL
    movl    8(%esp), BP
#endif
1:  test    UNTIL, UNTIL
    jz      2f
    cmpl    $0, (UNTIL)
    jne     3f
2:  pause
    decl    %ecx
    jnz     1b
3:  pop     BP
    ret
    .size   spin_with_frame_pointer, . - spin_with_frame_pointer

calling_window window_profile_walk, profile_walk_action

    .section .note.GNU-stack, "", @progbits
