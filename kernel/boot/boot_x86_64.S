// SPDX-License-Identifier: MIT
// x86-64: from the boot loader to C++. The twin of boot_x86_32.S.
//
// Entered in 32-bit protected mode without paging, flat segments, interrupts off, EAX the loader's
// magic, EBX the information's physical address. [Multiboot 3.2]
#ifdef __x86_64__

#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)
#define PAGE_TABLE 0x003 // present, writable
#define PAGE_2M 0x083    // present, writable, large

    .section kernel_boot_text, "ax", @progbits
    .code32
    .globl  kernel_entry
kernel_entry:
    cld
    cli
    movl    %eax, %ebp                  // the magic, kept over what follows
    movl    $PHYSICAL(boot_stack_top), %esp
    call    require_cpu

// The low 4 GiB in 2 MiB pages, by four page directories side by side.
    movl    $PHYSICAL(boot_directories), %edi
    movl    $PAGE_2M, %eax
    movl    $(4 * 512), %ecx
1:  movl    %eax, (%edi)
    addl    $0x200000, %eax
    addl    $8, %edi
    loop    1b

    movl    $PHYSICAL(boot_directories) + PAGE_TABLE, %eax
    movl    $PHYSICAL(boot_low_pointers), %edi
    movl    $4, %ecx
1:  movl    %eax, (%edi)
    addl    $0x1000, %eax
    addl    $8, %edi
    loop    1b

// They appear three times: at 0 for as long as this code runs at its physical address, as the direct
// map, and their first GiB as the image.
    movl    $PHYSICAL(boot_directories) + PAGE_TABLE, PHYSICAL(boot_image_pointers) + 510 * 8
    movl    $PHYSICAL(boot_low_pointers) + PAGE_TABLE, PHYSICAL(boot_top_table)
    movl    $PHYSICAL(boot_low_pointers) + PAGE_TABLE, PHYSICAL(boot_top_table) + 256 * 8
    movl    $PHYSICAL(boot_image_pointers) + PAGE_TABLE, PHYSICAL(boot_top_table) + 511 * 8

    call    enter_long_mode
    lgdt    PHYSICAL(boot_gdt_register)
    ljmp    $KERNEL_CODE_SELECTOR, $PHYSICAL(.Llong_mode)

/// Turns paging and long mode on with the boot page tables. [intel/vol3 9.8.5]
    .globl  enter_long_mode
enter_long_mode:
    movl    %cr4, %eax
    orl     $X86_CR4_PAE, %eax
    movl    %eax, %cr4
    movl    $PHYSICAL(boot_top_table), %eax
    movl    %eax, %cr3
    movl    $X86_MSR_EFER, %ecx
    rdmsr
    orl     $X86_EFER_LME, %eax
    wrmsr
    movl    %cr0, %eax
    andl    $~0x60000000, %eax          // CD and NW, set by a reset: caches on
    orl     $(X86_CR0_PG | X86_CR0_WP | X86_CR0_PE), %eax
    movl    %eax, %cr0
    ret

    .code64
.Llong_mode:
    movabsq $.Lhigh, %rax               // from the physical address to the image's own
    jmp     *%rax
.Lhigh:
    movl    $KERNEL_DATA_SELECTOR, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    movq    $boot_stack_top, %rsp
    movl    %ebp, %edi                  // arg 1: the loader's magic
    movl    %ebx, %esi                  // arg 2: its information
    xorl    %ebp, %ebp
    call    kernel_main
    ud2

    .section .rodata
    .balign 8
    .globl  boot_gdt
boot_gdt:
    .quad   0
    .quad   0x00af9b000000ffff          // KERNEL_CODE_SELECTOR
    .quad   0x00cf93000000ffff          // KERNEL_DATA_SELECTOR
    .quad   0x00cf9b000000ffff          // KERNEL_BOOT_CODE_32_SELECTOR
    .globl  boot_gdt_register
boot_gdt_register:
    .word   . - boot_gdt - 1
    .long   PHYSICAL(boot_gdt)
    .long   0

    .section .bss
    .balign 4096
    .globl  boot_top_table
boot_top_table:
    .skip   4096
boot_low_pointers:
    .skip   4096
boot_image_pointers:
    .skip   4096
boot_directories:
    .skip   4 * 4096
boot_stack:
    .skip   16384
    .globl  boot_stack_top
boot_stack_top:
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
