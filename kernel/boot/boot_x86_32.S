// SPDX-License-Identifier: MIT
// x86-32: from the boot loader to C++. The twin of boot_x86_64.S.
//
// Entered in 32-bit protected mode without paging, flat segments, interrupts off, EAX the loader's
// magic, EBX the information's physical address. [Multiboot 3.2]
#ifdef __i386__

#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)
#define PAGE_LARGE 0x083 // present, writable, large
#define PAGE_TABLE 0x001 // present: with PAE the top level knows no more
#define MMIO 0xfec00000

#ifdef KERNEL_PAE
#define LARGE_SHIFT 21 // the size of a large page
#define ENTRY_SIZE 8
#define MMIO_ENTRIES 2 // I/O APIC and HPET; local APIC
#else
#define LARGE_SHIFT 22
#define ENTRY_SIZE 4
#define MMIO_ENTRIES 1
#endif

// The place in boot_directory of what maps an address; its upper half is all that with PAE it covers.
#define DIRECTORY_MASK (4096 / ENTRY_SIZE - 1)
#define ENTRY(address) (PHYSICAL(boot_directory) + ((address >> LARGE_SHIFT) & DIRECTORY_MASK) * ENTRY_SIZE)

    .section kernel_boot_text, "ax", @progbits
    .globl  kernel_entry
kernel_entry:
    cld
    cli
    movl    %eax, %ebp                  // the magic, kept over what follows
    movl    $PHYSICAL(boot_stack_top), %esp
    call    require_cpu

// The direct map in large pages, the image in it; its begin also at 0 for as long as this code runs
// at its physical address; and the MMIO of both APICs and the HPET.
    movl    $ENTRY(KERNEL_DIRECT_BASE), %edi
    movl    $PAGE_LARGE, %eax
    movl    $(KERNEL_DIRECT_SIZE >> LARGE_SHIFT), %ecx
    call    map_large
    movl    $ENTRY(MMIO), %edi
    movl    $(MMIO + PAGE_LARGE), %eax
    movl    $MMIO_ENTRIES, %ecx
    call    map_large
#ifdef KERNEL_PAE
    movl    $PHYSICAL(boot_directory) + PAGE_TABLE, PHYSICAL(boot_top_table) // at 0
    movl    $PHYSICAL(boot_directory) + PAGE_TABLE, PHYSICAL(boot_top_table) + (KERNEL_DIRECT_BASE >> 30) * 8
#else
    movl    $PAGE_LARGE, PHYSICAL(boot_top_table)
#endif

    call    enter_paging
    lgdt    PHYSICAL(boot_gdt_register)
    ljmp    $KERNEL_CODE_SELECTOR, $.Lhigh // from the physical address to the image's own

// EDI: the first entry, EAX: what it holds, ECX: how many
map_large:
    movl    %eax, (%edi)
    addl    $(1 << LARGE_SHIFT), %eax
    addl    $ENTRY_SIZE, %edi
    loop    map_large
    ret

/// Turns paging on with the boot page table.
    .globl  enter_paging
enter_paging:
    movl    %cr4, %eax
#ifdef KERNEL_PAE
    orl     $X86_CR4_PAE, %eax
#else
    orl     $X86_CR4_PSE, %eax
#endif
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
#ifndef KERNEL_PAE
boot_directory:                         // without PAE there is no level above it
#endif
    .skip   4096
#ifdef KERNEL_PAE
boot_directory:
    .skip   4096
#endif
boot_stack:
    .skip   16384
    .globl  boot_stack_top
boot_stack_top:
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
