// SPDX-License-Identifier: MIT
// What most kernels do: SWAPGS if it was ring 3, call a handler, and IRET. For WITHOUT_NMISAFE alone, to show what then
// happens.
    .macro  swap_if_user place
    testb   $3, \place(%rsp)
    jz      1f
    swapgs
1:
    .endm
    .macro  plain_entry name, vector, error
    .globl  \name\()_entry
\name\()_entry:
    .ifb    \error
    pushq   $0
    .endif
    pushq   $\vector
    swap_if_user 24
    .irp    register, rax, rcx, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    pushq   %\register
    .endr
    cld
    movq    %rsp, %rdi                  // x86::trap_frame
    movq    %rsp, %rbx
    andq    $-16, %rsp
    call    \name
    movq    %rbx, %rsp
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rbx, rcx, rax
    popq    %\register
    .endr
    swap_if_user 24
    addq    $16, %rsp
    iretq
    .endm
    .section nmisafe_trap_text, "ax", @progbits // no marker is patched in between
    plain_entry plain_nmi, 2
    plain_entry plain_breakpoint, 3
    plain_entry plain_page_fault, 14, error

    .section .note.GNU-stack, "", @progbits
