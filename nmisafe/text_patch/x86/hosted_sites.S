// SPDX-License-Identifier: MIT
// Sites for the hosted test, for both widths: each a NOP, over which the test puts jumps and calls.
#include "nmisafe/text_patch/x86/hosted_sites.h"

#ifdef __x86_64__
#define WORD 8
#define POINTER .quad
#define AX %rax
#define BX %rbx
#define CX %rcx
#define SP %rsp
#else
#define WORD 4
#define POINTER .long
#define AX %eax
#define BX %ebx
#define CX %ecx
#define SP %esp
#endif
#define RECORD(word) (RECORD_##word * WORD)(BX)

    .text

// Leaves the flags and the stack as the site has left them.
.macro arrive where:req
    movl    $\where, %eax
    jmp     hosted_arrived
.endm

// A site, all that it may lead to within reach of a jump of two bytes.
.macro place nop:vararg
    .balign 16
1:  arrive  ARRIVED_A
2:  .byte   \nop
3:  arrive  ARRIVED_NEXT
4:  arrive  ARRIVED_B
5:  call    hosted_callee_a
    jmp     3b
6:  call    hosted_callee_b
    .byte   0xe9                        // the long form of the same
    .long   3b - (. + 4)
    .pushsection .data.hosted_places, "aw"
    POINTER 2b, 3b, 1b, 4b, 5b, 6b
    .popsection
.endm

    .pushsection .data.hosted_places, "aw"
    .globl  hosted_places
    .balign 16                          // as the ABI has it for an array of 16 bytes or more
hosted_places:
    .popsection

    place   0x66, 0x90
    place   0x0f, 0x1f, 0x44, 0, 0
    place   0x66, 0x0f, 0x1f, 0x44, 0, 0

.macro callee name:req, number:req
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    movl    $\number, %eax
    mov     AX, RECORD(CALLEE)
    mov     (SP), AX
    mov     AX, RECORD(RETURN_ADDRESS)
    mov     SP, RECORD(SP_IN_CALLEE)
    ret
    .size   \name, . - \name
.endm

callee hosted_callee_a, CALLEE_A
callee hosted_callee_b, CALLEE_B

// void hosted_execute(record*, uintptr_t site, uintptr_t flags). BX has the record throughout.
    .globl  hosted_execute
    .type   hosted_execute, @function
    .balign 16
hosted_execute:
    push    BX
#ifdef __x86_64__
    movq    %rdi, %rbx
    movq    %rsi, %rax
    movq    %rdx, %rcx
#else
    movl    8(%esp), %ebx
    movl    12(%esp), %eax
    movl    16(%esp), %ecx
#endif
    push    $hosted_lost                // for a callee that nobody has given a return address
    mov     SP, RECORD(SP_BEFORE)
    push    CX
    popf
    jmp     *AX
hosted_lost:
    arrive  ARRIVED_LOST
hosted_arrived:
    mov     AX, RECORD(ARRIVAL)
    mov     SP, RECORD(SP_AFTER)
    mov     RECORD(SP_BEFORE), SP
    pushf
    pop     AX
    mov     AX, RECORD(FLAGS)
    lea     WORD(SP), SP
    pop     BX
    ret
    .size   hosted_execute, . - hosted_execute

    .section .note.GNU-stack, "", @progbits
