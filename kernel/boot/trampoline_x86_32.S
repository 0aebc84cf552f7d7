// SPDX-License-Identifier: MIT
// x86-32: where another CPU starts, in real mode, and its way to C++. The twin of
// trampoline_x86_64.S. CPUs start one at a time: they share the first CPU's boot stack, which that
// one has left by then.
#ifdef __i386__

#include "kernel/boot/early_vectors.h"
#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)

    .section .rodata
    .code16
    .globl  kernel_trampoline_begin, kernel_trampoline_end
kernel_trampoline_begin:                // runs as a copy at KERNEL_TRAMPOLINE
    lidtl   %cs:TRAMPOLINE_OFFSET(.Learly_register) // before this one an NMI is the firmware's
    .globl  kernel_trampoline_armed
kernel_trampoline_armed:
    cli
    cld
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movl    $TRAMPOLINE_STACK_TOP, %esp // until then at 0xfffa and up: SP is 0 after INIT
    lgdtl   COPIED(trampoline_gdt_register)
    movl    %cr0, %eax
    orl     $X86_CR0_PE, %eax
    movl    %eax, %cr0
    ljmpl   $KERNEL_CODE_SELECTOR, $PHYSICAL(trampoline_protected_mode)
trampoline_gdt_register:
    .word   3 * 8 - 1
    .long   PHYSICAL(boot_gdt)
.Learly_register:
    .word   EARLY_TABLE_SIZE - 1
    .long   COPIED(.Learly_vectors)

    .balign 16
.Learly_vectors:
    early_table .Learly_real, .Learly_protected, KERNEL_CODE_SELECTOR
    .skip   EARLY_TABLE_SIZE - EARLY_GATE_64
.Lhigh_vectors:                         // the same at the direct map's addresses
    .skip   EARLY_GATE_32
    .word   COPIED(.Learly_high), KERNEL_CODE_SELECTOR, PRESENT_INTERRUPT_GATE, KERNEL_DIRECT_BASE >> 16
    .skip   EARLY_TABLE_SIZE - EARLY_GATE_32 - 8
    .globl  kernel_early_nmis
kernel_early_nmis:
    .long   0
.Learly_real:
    early_real_handler kernel_early_nmis
    .code32
.Learly_protected:
    early_protected_handler kernel_early_nmis, KERNEL_CODE_SELECTOR, PHYSICAL(trampoline_protected_mode)
.Learly_high:
    lock incl KERNEL_DIRECT_BASE + COPIED(kernel_early_nmis)
    iretl
kernel_trampoline_end:

    .section kernel_boot_text, "ax", @progbits
    .code32
trampoline_protected_mode:
    movl    $KERNEL_DATA_SELECTOR, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $PHYSICAL(boot_stack_top), %esp
    call    enter_paging
    movl    $.Lhigh, %eax
    jmp     *%eax
.Lhigh:
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    lidt    .Lhigh_register             // all that an NMI needs, at addresses of either page tables
    lgdt    .Lhigh_gdt_register
    movl    $boot_stack_top, %esp
    movl    kernel_starting_top_table, %eax
    movl    %eax, %cr3                  // the kernel's own tables: the stack is mapped there only
    movl    kernel_starting_stack, %esp
    xorl    %ebp, %ebp
    call    kernel_other_cpu_main
    ud2

    .section .rodata
    .balign 8
.Lhigh_register:
    .word   EARLY_TABLE_SIZE - 1
    .long   KERNEL_DIRECT_BASE + COPIED(.Lhigh_vectors)
.Lhigh_gdt_register:
    .word   3 * 8 - 1
    .long   boot_gdt
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
