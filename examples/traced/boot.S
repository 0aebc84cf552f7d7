// SPDX-License-Identifier: MIT
// From a Multiboot loader, in 32-bit mode, to kernel_main(), in 64-bit mode; and from real mode, where the second CPU
// starts, to second_cpu_main(). The first 4 GiB are mapped where they are, by 2 MiB pages; which of them ring 3 may touch
// those say themselves. [Multiboot 3.2; intel/vol3 8.4.4, 9.8.5]

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
    movl    $directories + 7, %eax
    movl    $pointers, %edi
    movl    $4, %ecx
1:  movl    %eax, (%edi)
    addl    $4096, %eax
    addl    $8, %edi
    loop    1b
    movl    $pointers + 7, top_table
    lgdt    boot_gdt_pointer
    .macro  enter_long_mode
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
    .endm
    enter_long_mode
    ljmp    $8, $1f

// The second CPU: copied to 0x8000, where it starts.
    .code16
    .globl  trampoline, trampoline_end
trampoline:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    lgdtl   trampoline_gdt_pointer - trampoline + 0x8000
    enter_long_mode
    ljmpl   $8, $2f
trampoline_gdt_pointer:
    .word   23
    .long   boot_gdt
trampoline_end:

    .code64
    .macro  load_segments
    movl    $16, %eax
    movl    %eax, %ss
    movl    %eax, %ds
    movl    %eax, %es
    .endm
1:  load_segments
    call    kernel_main
2:  load_segments
    movq    $second_stack_end, %rsp
    call    second_cpu_main

    .balign 8
boot_gdt:
    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff // code, data
boot_gdt_pointer:
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
    .skip   16384
second_stack_end:

    .section .note.GNU-stack, "", @progbits
