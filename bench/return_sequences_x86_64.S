// SPDX-License-Identifier: MIT
// The loops that return_bench times. All build the same frame, as the CPU and the entry code would, and
// differ only in what takes it away again.
//
// A trap's delivery pushes nothing on the return stack buffer, so a near return finds there a caller's
// entry, or the one that the sequence itself has pushed, and is mispredicted. A loop without callers would
// leave the buffer empty, and some CPUs then predict by other means, which the loop would train. So each
// round first calls over a trap instruction and drops the return address: the buffer's top is then an
// entry that is never right. (Not the next instruction: CPUs do not enter such a call.)
#define NMISAFE_RETURN_CFI
#include "nmisafe/trap/return_x86_64.h"

#define CHAIN_DEPTH 8

// What stands for a sequence: RSP -> saved RCX, saved RAX, the hardware frame.
.macro take_near landing
    nmi_safe_return_near frame=16
.endm

.macro take_far landing
    nmi_safe_return_far frame=16
.endm

.macro take_iretq landing
    popq    %rcx
    popq    %rax
    iretq
.endm

// The baseline: gets to the same place by dropping the frame.
.macro take_nothing landing
    popq    %rcx
    popq    %rax
    movq    HARDWARE_SP(%rsp), %rsp
    jmp     \landing
.endm

// RDX: the interrupted RSP; R8 to R11: SS, RFLAGS, CS, RIP, as load_image leaves them.
.macro push_frame
    pushq   %r8
    pushq   %rdx
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %rax
    pushq   %rcx
.endm

.macro load_image landing
    movl    %ss, %r8d
    pushfq
    popq    %r9
    movl    %cs, %r10d
    leaq    \landing(%rip), %r11
.endm

.macro function name
    .globl  return_bench_\name
    .type   return_bench_\name, @function
    .balign 64
return_bench_\name:
    .cfi_startproc
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register %rbp
.endm

.macro end_function name
    leave
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size   return_bench_\name, . - return_bench_\name
.endm

// void return_bench_NAME(uint64_t rounds, void* other_stack_top). \stack: same or other.
.macro loop name, sequence, stack
function \name
    andq    $-16, %rsp
    load_image .Llanding_\name
    .balign 64
.Lround_\name:
    call    1f
    ud2
1:  leaq    8(%rsp), %rsp
    movq    %rsp, %rdx
    .ifc \stack,other
    movq    %rsi, %rsp
    .endif
    push_frame
    .cfi_remember_state
    take_\sequence .Llanding_\name
    .cfi_restore_state
    ud2                                 // no running past the return
.Llanding_\name:
    decq    %rdi
    jnz     .Lround_\name
end_function \name
.endm

// The same in the innermost of CHAIN_DEPTH functions, all of which then return: shows what the
// sequence leaves of the callers' entries in the return stack buffer.
.macro chain name, sequence
function \name
    load_image .Llanding_\name
    .balign 64
.Lround_\name:
    call    .Lcallers_\name
    decq    %rdi
    jnz     .Lround_\name
end_function \name

    .cfi_startproc
.Lcallers_\name:
    .rept   CHAIN_DEPTH
    call    1f                          // returns to its own RET: as many call sites as callers
    ret
1:
    .endr
    movq    %rsp, %rdx
    andq    $-16, %rsp
    push_frame
    take_\sequence .Llanding_\name
    ud2
.Llanding_\name:
    ret
    .cfi_endproc
.endm

    .text
loop baseline, nothing, same
loop near, near, same
loop far, far, same
loop iretq, iretq, same

loop baseline_other_stack, nothing, other
loop near_other_stack, near, other
loop far_other_stack, far, other
loop iretq_other_stack, iretq, other

chain baseline_callers, nothing
chain near_callers, near
chain far_callers, far
chain iretq_callers, iretq

// From here on the library's near return balances nothing: its entry is a caller's, off by one for all.
    .purgem balance_return_stack
.macro balance_return_stack
.endm

loop near_unbalanced, near, same
loop near_unbalanced_other_stack, near, other
chain near_unbalanced_callers, near

    .section .note.GNU-stack, "", @progbits
