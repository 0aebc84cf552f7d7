// SPDX-License-Identifier: MIT
// The first program of a Linux guest of `nmisafe torture`: its start, its system calls, and a loop for each path.
// The same labels in the same order as init_x86_32.S.
//
// A path that ends in a signal has its own begin for the signal's handler: it never returns from it, so each pass is as the
// one before.

    .text
    .globl  _start
_start:
    xorl    %ebp, %ebp
    movq    %rsp, %rdi
    andq    $-16, %rsp
    call    init_main
    ud2

// intptr_t init_system_call(number, six arguments)
    .globl  init_system_call
init_system_call:
    movq    %rdi, %rax
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    movq    %rcx, %rdx
    movq    %r8, %r10
    movq    %r9, %r8
    movq    8(%rsp), %r9
    syscall
    ret

    .globl  init_breakpoint
init_breakpoint:
    movq    init_sp, %rsp
    int3
    ud2

    .globl  init_debug
init_debug:
    movq    init_sp, %rsp
    pushfq
    orl     $0x100, (%rsp)              // TF: #DB behind the NOP
    popfq
    nop
    ud2

    .globl  init_general_protection
init_general_protection:
    movq    init_sp, %rsp
    hlt
    ud2

// Its page goes away again each time.
    .globl  init_page_fault
init_page_fault:
    movq    init_page, %rdi
    movb    $1, (%rdi)
    movl    $4096, %esi
    movl    $4, %edx                    // MADV_DONTNEED
    movl    $28, %eax                   // madvise
    syscall
    jmp     init_page_fault

    .globl  init_syscall
init_syscall:
    movl    $110, %eax                  // getppid
    syscall
    jmp     init_syscall

    .globl  init_sysenter
init_sysenter:
    jmp     init_syscall                // 64-bit programs have no other

    .globl  init_spin
init_spin:
    pause
    jmp     init_spin

    .bss
    .balign 8
    .globl  init_sp, init_page, init_vsyscall
init_sp:
    .skip   8
init_page:
    .skip   8
init_vsyscall:
    .skip   8

    .section .note.GNU-stack, "", @progbits
