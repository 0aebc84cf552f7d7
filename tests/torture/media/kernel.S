// SPDX-License-Identifier: MIT
// The smallest guest of `nmisafe torture`: 32 bits, an IDT of its own, INT3 for ever. Boots by Multiboot 1 and 2 [Multiboot 3.1;
// Multiboot2 3.1]; with MULTIBOOT2_ALONE it has no header of the first.

#ifndef MULTIBOOT2_ALONE
    .section .multiboot, "a"
    .balign 4
    .long   0x1badb002, 0, -0x1badb002
#endif

    .section .multiboot2, "a"
    .balign 8
multiboot2:
    .long   0xe85250d6, 0, multiboot2_end - multiboot2      // architecture: i386
    .long   -(0xe85250d6 + (multiboot2_end - multiboot2))
    .short  0, 0                                            // no more tags
    .long   8
multiboot2_end:

    .text
    .globl  start
start:
    cli
    movl    $stack_end, %esp
    lgdt    gdt_pointer                 // the loader's may be gone
    ljmp    $8, $1f
1:  movl    $16, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss

    movl    $idt + 2 * 8, %edi
    movl    $nmi_entry, %eax
    call    set_gate
    movl    $breakpoint_entry, %eax
    call    set_gate
    lidt    idt_pointer

    movl    $text, %esi
    movl    $text_end - text, %ecx
    movw    $0xe9, %dx
    rep outsb
1:  int3
    jmp     1b

// The next gate at EDI: EAX. An interrupt gate.
set_gate:
    movw    %ax, (%edi)
    movw    $8, 2(%edi)
    movw    $0x8e00, 4(%edi)
    shrl    $16, %eax
    movw    %ax, 6(%edi)
    addl    $8, %edi
    ret

    .globl  nmi_entry
nmi_entry:
    pushl   %eax
    incl    nmis
    popl    %eax
    iretl

    .globl  breakpoint_entry
breakpoint_entry:
    pushl   %eax
    movl    breakpoints, %eax
    incl    %eax
    movl    %eax, breakpoints
    popl    %eax
    iretl

    .data
    .balign 8
gdt:
    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word   3 * 8 - 1
    .long   gdt
idt_pointer:
    .word   32 * 8 - 1
    .long   idt
text:
    .ascii  "torture: ready\n"
text_end:

    .bss
    .balign 16
idt:
    .skip   32 * 8
nmis:
    .skip   4
breakpoints:
    .skip   4
    .skip   4096
stack_end:

    .section .note.GNU-stack, "", @progbits
