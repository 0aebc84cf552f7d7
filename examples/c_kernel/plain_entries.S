// SPDX-License-Identifier: MIT
// What most kernels do: call a handler, and IRET. For WITHOUT_NMISAFE alone, to show what then happens.
    .macro plain_entry name, error
    .globl  \name\()_entry
\name\()_entry:
    .ifb \error
    push    $0
    .endif
    .irp    register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
    push    %\register
    .endr
    mov     %rsp, %rdi
    call    \name
    .irp    register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    pop     %\register
    .endr
    add     $8, %rsp
    iretq
    .endm
    plain_entry plain_nmi
    plain_entry plain_breakpoint
    plain_entry plain_page_fault, error

    .section .note.GNU-stack, "", @progbits
