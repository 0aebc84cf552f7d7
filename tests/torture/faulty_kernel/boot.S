// SPDX-License-Identifier: MIT
// From a Multiboot loader, in 32-bit mode, to kernel_main(). The first 2 GiB are mapped where they are, by pages of
// 2 MiB that user mode may use too; the local APIC's registers are not. [Multiboot 3.2; intel/vol3 9.8.5]
#include "tests/torture/faulty_kernel/layout.h"

    .section .multiboot, "a"
    .long   0x1badb002, 0, -0x1badb002

    .text
    .code32
    .globl  start
start:
    movl    $kernel_stack_end, %esp
    movl    $directories, %edi
    movl    $0x87, %eax                 // present, writable, user, large
1:  movl    %eax, (%edi)
    addl    $8, %edi
    addl    $0x200000, %eax
    jns     1b
    movl    $directories + 7, pointers
    movl    $directories + 4096 + 7, pointers + 8
    // Two roots of the same tables: user mode has one, the kernel the other.
    movl    $pointers + 7, kernel_table
    movl    $pointers + 7, user_table
    movl    $0x20, %eax                 // CR4.PAE
    movl    %eax, %cr4
    movl    $kernel_table, %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx           // EFER: LME, SCE
    rdmsr
    orl     $0x101, %eax
    wrmsr
    movl    $0x80000011, %eax           // CR0: PG, ET, PE
    movl    %eax, %cr0
    lgdt    boot_gdt
    ljmp    $KERNEL_CODE, $1f
    .code64
1:  movl    $KERNEL_DATA, %eax
    movl    %eax, %ss
    movl    %eax, %ds
    movl    %eax, %es
    call    kernel_main
boot_gdt:
    .word   55
    .quad   gdt

    .bss
    .balign 4096
    .globl  kernel_table, user_table, directories, kernel_stack_end
kernel_table:
    .skip   4096
user_table:
    .skip   4096
pointers:
    .skip   4096
directories:
    .skip   2 * 4096
    .skip   4096
kernel_stack_end:

    .section .note.GNU-stack, "", @progbits
