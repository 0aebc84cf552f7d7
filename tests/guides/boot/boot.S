// SPDX-License-Identifier: MIT
// From a Multiboot loader, in 32-bit mode, to kernel_main(). x86-64: the first 4 GiB mapped where they are. x86-32: the
// first GiB at 3 GiB, where the kernel is linked, and the local APIC. [Multiboot 3.2; intel/vol3 4.3, 9.8.5]

    .section .multiboot, "a"
    .long   0x1badb002, 0, -0x1badb002

    .text
    .code32
    .globl  start
start:
#ifdef __x86_64__
    movl    $boot_stack_end, %esp
    movl    $directories, %edi
    movl    $0x83, %eax                 // present, writable, large
1:  movl    %eax, (%edi)
    addl    $8, %edi
    addl    $0x200000, %eax
    jnc     1b
    movl    $directories + 7, %eax      // ring 3 too, where the large page says so
    movl    $pointers, %edi
    movl    $4, %ecx
1:  movl    %eax, (%edi)
    addl    $4096, %eax
    addl    $8, %edi
    loop    1b
    movl    $pointers + 7, top_table
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
    lgdt    gdt_pointer
    ljmp    $8, $1f
    .code64
1:
#else
#define PHYSICAL(symbol) symbol - 0xc0000000
    movl    $PHYSICAL(directories) + 768 * 4, %edi
    movl    $0x83, %eax
1:  movl    %eax, (%edi)
    addl    $4, %edi
    addl    $0x400000, %eax
    cmpl    $0x40000083, %eax
    jne     1b
    movl    $0x83, PHYSICAL(directories) // until the jump
    movl    $0xfec00083, PHYSICAL(directories) + 1019 * 4
    movl    $0x10, %eax                 // CR4.PSE
    movl    %eax, %cr4
    movl    $PHYSICAL(directories), %eax
    movl    %eax, %cr3
    movl    $0x80000011, %eax
    movl    %eax, %cr0
    lgdt    gdt_pointer
    ljmp    $8, $1f
1:  movl    $0, directories
    movl    %cr3, %eax
    movl    %eax, %cr3
    movl    $boot_stack_end, %esp
#endif
    movl    $16, %eax
    movl    %eax, %ss
    movl    %eax, %ds
    movl    %eax, %es
    call    kernel_main

    .balign 8
boot_gdt:
#ifdef __x86_64__
    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff // code, data
#else
    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
#endif
gdt_pointer:
    .word   23
    .long   boot_gdt

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
