// SPDX-License-Identifier: MIT
// The first program of a Linux guest of `nmisafe torture`: its start, its system calls, and a loop for each path.
// The same labels in the same order as init_x86_64.S.
//
// A path that ends in a signal has its own begin for the signal's handler: it never returns from it, so each pass is as the
// one before.

    .text
    .globl  _start
_start:
    xorl    %ebp, %ebp
    movl    %esp, %eax
    andl    $-16, %esp
    subl    $12, %esp
    pushl   %eax
    call    init_main
    ud2

// intptr_t init_system_call(number, six arguments)
    .globl  init_system_call
init_system_call:
    pushl   %ebx
    pushl   %esi
    pushl   %edi
    pushl   %ebp
    movl    20(%esp), %eax
    movl    24(%esp), %ebx
    movl    28(%esp), %ecx
    movl    32(%esp), %edx
    movl    36(%esp), %esi
    movl    40(%esp), %edi
    movl    44(%esp), %ebp
    int     $0x80
    popl    %ebp
    popl    %edi
    popl    %esi
    popl    %ebx
    ret

    .globl  init_breakpoint
init_breakpoint:
    movl    init_sp, %esp
    int3
    ud2

    .globl  init_debug
init_debug:
    movl    init_sp, %esp
    pushfl
    orl     $0x100, (%esp)              // TF: #DB behind the NOP
    popfl
    nop
    ud2

    .globl  init_general_protection
init_general_protection:
    movl    init_sp, %esp
    hlt
    ud2

// Its page goes away again each time.
    .globl  init_page_fault
init_page_fault:
    movl    init_page, %ebx
    movb    $1, (%ebx)
    movl    $4096, %ecx
    movl    $4, %edx                    // MADV_DONTNEED
    movl    $219, %eax                  // madvise
    int     $0x80
    jmp     init_page_fault

    .globl  init_syscall
init_syscall:
    movl    $64, %eax                   // getppid
    int     $0x80
    jmp     init_syscall

    .globl  init_sysenter
init_sysenter:
    movl    $64, %eax                   // getppid
    call    *init_vsyscall              // of the vDSO, which knows the CPU
    jmp     init_sysenter

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
