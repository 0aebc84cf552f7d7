// SPDX-License-Identifier: MIT
// What nmi-stepping steps through, and which boundaries its steps must report, both widths.
#include "kernel/experiments/shared/window_macros.h"
#include "nmisafe/x86/flags.h"

#ifdef __x86_64__
#define PAGE %rdi
#define COUNTER %rsi
#define ADDRESS .quad
#else
#define PAGE %edx
#define COUNTER %ecx
#define ADDRESS .long
#endif

    .text

    .globl  stepped_code, stepped_code_first, stepped_code_last
    .globl  stepped_at_call, stepped_after_int3, stepped_fault
    .type   stepped_code, @function
    .balign 16
// void stepped_code(void* page, uint32_t* counter): sets stepped_code_set in the flags, and clears
// stepped_code_clear at its end.
stepped_code:
    indirect_target
#ifdef __x86_64__
    movl    stepped_code_set(%rip), %eax
    movl    stepped_code_clear(%rip), %r8d
#else
    movl    4(%esp), PAGE
    movl    8(%esp), COUNTER
    movl    stepped_code_set, %eax
    pushl   stepped_code_clear
#endif
    pushf
    orl     %eax, (SP)
    popf
    nop                                 // the first instruction that is stepped
stepped_code_first:
stepped_at_call:
    call    stepped_inner
.Lreturned:
    movb    $1, (PAGE)                  // a page fault: cleared TF is put back, and RF
stepped_fault_done:
    pushf                               // TF is in this image
.Lpushed:
    popf
.Lpopped:
    int3                                // its own end is never reported: it clears TF before
.Lafter_second_int3:
    movb    $2, (PAGE)
.Lwritten:
    incl    (COUNTER)
.Lcounted:
    pushf
.Lpushed_again:
#ifdef __x86_64__
    movl    %r8d, %eax
#else
    movl    4(%esp), %eax
#endif
.Lmask:
    notl    %eax
.Linverted:
    andl    %eax, (SP)
.Lmasked:
    popf
stepped_code_last:
    nop
#ifdef __i386__
    leal    4(%esp), %esp
#endif
    ret
    .size   stepped_code, . - stepped_code
    .set    stepped_fault, .Lreturned

stepped_inner:
    incl    (COUNTER)
.Lcounted_inside:
    int3
stepped_after_int3:
    nop
.Lbehind_int3:
    ret
    .size   stepped_inner, . - stepped_inner
    .globl  stepped_code_end
stepped_code_end:

    .section .rodata
    .balign 8
    .globl  stepped_code_expected, stepped_code_expected_end
stepped_code_expected:
    .irp    boundary, stepped_code_first, stepped_inner, .Lcounted_inside, .Lbehind_int3, .Lreturned, stepped_fault_done, .Lpushed, .Lpopped, .Lwritten, .Lcounted, .Lpushed_again, .Lmask, .Linverted, .Lmasked, stepped_code_last
    ADDRESS \boundary
    .endr
stepped_code_expected_end:

    .text
// void window_watched(void): the window is the call of what writes to the word that is watched
calling_window window_watched, watched_action

// void write_watched(uint32_t* word)
    .globl  write_watched, write_watched_end
    .type   write_watched, @function
write_watched:
#ifdef __x86_64__
    movl    $1, (%rdi)                  // #DB
#else
    movl    4(%esp), %eax
    movl    $1, (%eax)
#endif
write_watched_end:
    ret
    .size   write_watched, . - write_watched

    .section .note.GNU-stack, "", @progbits
