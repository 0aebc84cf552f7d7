// SPDX-License-Identifier: MIT
// From a Multiboot loader, in 32-bit mode, to kernel_main(), in 64-bit mode or not. The first 4 GiB are mapped where
// they are, by large pages. [Multiboot 3.2; intel/vol3 4.3, 9.8.5]

    .section .multiboot, "a"
    .long   0x1badb002, 0, -0x1badb002

    .text
    .code32
    .globl  start
start:
    movl    $boot_stack_end, %esp
    movl    $directories, %edi
    movl    $0x83, %eax                 // present, writable, large
#ifdef __x86_64__
1:  movl    %eax, (%edi)
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
#else
1:  movl    %eax, (%edi)
    addl    $4, %edi
    addl    $0x400000, %eax
    jnc     1b
    movl    $0x10, %eax                 // CR4.PSE
    movl    %eax, %cr4
    movl    $directories, %eax
    movl    %eax, %cr3
#endif
    movl    $0x80000011, %eax           // CR0: PG, ET, PE
    movl    %eax, %cr0
    lgdt    gdt_pointer
    ljmp    $8, $1f
#ifdef __x86_64__
    .code64
#endif
1:  movl    $16, %eax
    movl    %eax, %ss
    movl    %eax, %ds
    movl    %eax, %es
    call    kernel_main

    .balign 8
    .globl  gdt
gdt:
#ifdef __x86_64__
    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff // code, data
    .quad   0, 0                        // kernel.c's task, if it has one
#else
    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
#endif
gdt_end:
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt

    .bss
    .balign 4096
    .globl  directories
directories:
    .skip   4 * 4096
top_table:
    .skip   4096
pointers:
    .skip   4096
    .skip   16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
