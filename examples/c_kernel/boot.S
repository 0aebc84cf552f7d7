// SPDX-License-Identifier: MIT
// From a Multiboot loader, in 32-bit mode, to kernel_main(). The first 4 GiB are mapped where they are, by 2 MiB pages.
// [Multiboot 3.2; intel/vol3 9.8.5]

    .section .multiboot, "a"
    .long   0x1badb002, 0, -0x1badb002

    .text
    .code32
    .globl  start
start:
    movl    $boot_stack_end, %esp
    movl    $directories, %edi
    movl    $0x83, %eax
1:  movl    %eax, (%edi)                // present, writable, large
    addl    $8, %edi
    addl    $0x200000, %eax
    jnc     1b
    movl    $directories + 3, %eax
    movl    $pointers, %edi
    movl    $4, %ecx
1:  movl    %eax, (%edi)
    addl    $4096, %eax
    addl    $8, %edi
    loop    1b
    movl    $pointers + 3, top_table
    movl    $0x20, %eax                 // CR4.PAE
    movl    %eax, %cr4
    movl    $top_table, %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx           // EFER.LME
    rdmsr
    orl     $0x100, %eax
    wrmsr
    movl    $0x80000011, %eax           // CR0: PG, ET, PE
    movl    %eax, %cr0
    lgdt    boot_gdt
    ljmp    $8, $1f
    .code64
1:  movl    $16, %eax
    movl    %eax, %ss
    movl    %eax, %ds
    movl    %eax, %es
    call    kernel_main
boot_gdt:
    .word   39
    .quad   gdt

    .bss
    .balign 4096
top_table:
    .skip   4096
pointers:
    .skip   4096
    .globl  directories
directories:
    .skip   4 * 4096
    .skip   8192
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
