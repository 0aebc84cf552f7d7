// SPDX-License-Identifier: MIT
// x86-64: where another CPU starts, in real mode, and its way to C++. The twin of
// trampoline_x86_32.S. CPUs start one at a time: they share the first CPU's boot stack, which that
// one has left by then.
#ifdef __x86_64__

#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)
#define COPIED(symbol) (symbol - kernel_trampoline_begin + KERNEL_TRAMPOLINE)

    .section .rodata
    .code16
    .globl  kernel_trampoline_begin, kernel_trampoline_end
kernel_trampoline_begin:                // runs as a copy at KERNEL_TRAMPOLINE
    cli
    cld
    xorw    %ax, %ax
    movw    %ax, %ds
    lgdtl   COPIED(trampoline_gdt_register)
    movl    %cr0, %eax
    orl     $X86_CR0_PE, %eax
    movl    %eax, %cr0
    ljmpl   $KERNEL_BOOT_CODE_32_SELECTOR, $PHYSICAL(trampoline_protected_mode)
trampoline_gdt_register:
    .word   4 * 8 - 1
    .long   PHYSICAL(boot_gdt)
kernel_trampoline_end:

    .section kernel_boot_text, "ax", @progbits
    .code32
trampoline_protected_mode:
    movl    $KERNEL_DATA_SELECTOR, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $PHYSICAL(boot_stack_top), %esp
    call    enter_long_mode
    ljmp    $KERNEL_CODE_SELECTOR, $PHYSICAL(.Llong_mode)

    .code64
.Llong_mode:
    movabsq $.Lhigh, %rax
    jmp     *%rax
.Lhigh:
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    movq    kernel_starting_top_table, %rax
    movq    %rax, %cr3                  // the kernel's own tables: the stack is mapped there only
    movq    kernel_starting_stack, %rsp
    xorl    %ebp, %ebp
    call    kernel_other_cpu_main
    ud2
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
