// SPDX-License-Identifier: MIT
// x86-32: from the boot loader to C++. The twin of boot_x86_64.S.
//
// Entered in 32-bit protected mode without paging, flat segments, interrupts off, EAX the loader's
// magic, EBX the information's physical address. [Multiboot 3.2]
#ifdef __i386__

#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)
#define PAGE_4M 0x083 // present, writable, large
#define MMIO 0xfec00000

    .section .text.boot, "ax", @progbits
    .globl  kernel_entry
kernel_entry:
    cld
    cli
    movl    %eax, %ebp                  // the magic, kept over what follows
    movl    $PHYSICAL(boot_stack_top), %esp

// The direct map in 4 MiB pages, the image in it; the first 4 MiB also at 0 for as long as this code
// runs at its physical address; and the MMIO of both APICs and the HPET.
    movl    $PHYSICAL(boot_top_table) + (KERNEL_DIRECT_BASE >> 22) * 4, %edi
    movl    $PAGE_4M, %eax
    movl    $(KERNEL_DIRECT_SIZE >> 22), %ecx
1:  movl    %eax, (%edi)
    addl    $0x400000, %eax
    addl    $4, %edi
    loop    1b
    movl    $PAGE_4M, PHYSICAL(boot_top_table)
    movl    $(MMIO + PAGE_4M), PHYSICAL(boot_top_table) + (MMIO >> 22) * 4

    call    enter_paging
    lgdt    PHYSICAL(boot_gdt_register)
    ljmp    $KERNEL_CODE_SELECTOR, $.Lhigh // from the physical address to the image's own

/// Turns paging on with the boot page table.
    .globl  enter_paging
enter_paging:
    movl    %cr4, %eax
    orl     $X86_CR4_PSE, %eax
    movl    %eax, %cr4
    movl    $PHYSICAL(boot_top_table), %eax
    movl    %eax, %cr3
    movl    %cr0, %eax
    andl    $~0x60000000, %eax          // CD and NW, set by a reset: caches on
    orl     $(X86_CR0_PG | X86_CR0_WP | X86_CR0_PE), %eax
    movl    %eax, %cr0
    ret

.Lhigh:
    movl    $KERNEL_DATA_SELECTOR, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    movl    $boot_stack_top, %esp
    pushl   %ebx                        // arg 2: the loader's information
    pushl   %ebp                        // arg 1: its magic
    xorl    %ebp, %ebp
    call    kernel_main
    ud2

    .section .rodata
    .balign 8
    .globl  boot_gdt
boot_gdt:
    .quad   0
    .quad   0x00cf9b000000ffff          // KERNEL_CODE_SELECTOR
    .quad   0x00cf93000000ffff          // KERNEL_DATA_SELECTOR
    .globl  boot_gdt_register
boot_gdt_register:
    .word   . - boot_gdt - 1
    .long   PHYSICAL(boot_gdt)

    .section .bss
    .balign 4096
    .globl  boot_top_table
boot_top_table:
    .skip   4096
boot_stack:
    .skip   16384
    .globl  boot_stack_top
boot_stack_top:
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
