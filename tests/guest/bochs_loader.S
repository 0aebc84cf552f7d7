// SPDX-License-Identifier: MIT
// A boot loader for Bochs: an option ROM, which the BIOS calls once it has set the machine up. A loader on a disk comes
// three seconds of the guest's later, behind the BIOS's wait for a key, and GRUB takes two more: together five times
// what most experiments do. It reads the kernel's image from the first disk, by the BIOS, and starts it as the
// Multiboot specification says (version 0.6.96, 3.2 and 3.3): 32-bit protected mode without paging, EAX the
// loader's mark, EBX the information. check_bochs.py appends what depends on the image, and the checksum.
    .equ    ROM, 0xd0000 // where Bochs is told to put it

// Conventional memory, of which a BIOS uses what is below 0x500 and behind 0x9fc00.
    .equ    PACKET, 0x500       // of a read from the disk: size, sectors, place, first sector
    .equ    INFORMATION, 0x600  // Multiboot's
    .equ    MEMORY_MAP, 0x700   // up to MEMORY_MAP_END
    .equ    MEMORY_MAP_END, 0xf00
    .equ    STACK_END, 0x7c00
    .equ    READ, 0x10000       // the image, before it is moved where it belongs

    .equ    CHUNK, 64           // sectors of a read: half of what a segment holds
    .equ    SECTOR, 512
    .equ    SMAP, 0x534d4150    // what the BIOS wants to see, and answers, for its map of the memory

// Multiboot: what EAX says, and offsets and flags of the information.
    .equ    LOADER_MAGIC, 0x2badb002
    .equ    INFORMATION_FLAGS, 0
    .equ    INFORMATION_COMMAND_LINE, 16
    .equ    INFORMATION_MAP_SIZE, 44
    .equ    INFORMATION_MAP, 48
    .equ    HAS_COMMAND_LINE_AND_MAP, 1 << 2 | 1 << 6

    .text
    .code16
rom:
    .byte   0x55, 0xaa
    .byte   0                   // sectors: check_bochs.py
    // The BIOS's call: in real mode, with CS for this ROM. It never returns.
    cli
    cld
    xorw    %ax, %ax
    movw    %ax, %ss
    movl    $STACK_END, %esp
    movw    %ax, %ds
    movw    %ax, %es

    // The packet of the first read.
    movw    $PACKET, %si
    movl    $(CHUNK << 16 | 16), (%si)
    movl    $(READ << 12), 4(%si)       // segment and offset
    movl    $0, 8(%si)
    movl    $0, 12(%si)
    movw    %cs:(chunks - rom), %cx
1:  movb    $0x42, %ah                  // read
    movb    $0x80, %dl                  // the first disk
    pushw   %cx
    int     $0x13
    popw    %cx
    jc      stop
    addw    $(CHUNK * SECTOR / 16), 6(%si)
    addl    $CHUNK, 8(%si)
    loop    1b

    // The BIOS's map of the memory. An entry of Multiboot's has its size before it.
    movw    $(MEMORY_MAP + 4), %di
    xorl    %ebx, %ebx
1:  movl    $0xe820, %eax
    movl    $20, %ecx
    movl    $SMAP, %edx
    int     $0x15
    jc      2f
    cmpl    $SMAP, %eax
    jne     stop
    movl    $20, -4(%di)
    addw    $24, %di
    cmpw    $MEMORY_MAP_END, %di
    jae     stop
    testl   %ebx, %ebx
    jnz     1b
2:  leaw    -4 - MEMORY_MAP(%di), %ax
    movzwl  %ax, %eax
    movl    %eax, INFORMATION + INFORMATION_MAP_SIZE
    movl    $MEMORY_MAP, INFORMATION + INFORMATION_MAP
    movl    $command_line, INFORMATION + INFORMATION_COMMAND_LINE
    movl    $HAS_COMMAND_LINE_AND_MAP, INFORMATION + INFORMATION_FLAGS

    inb     $0x92, %al                  // address line 20, without a reset
    orb     $2, %al
    andb    $0xfe, %al
    outb    %al, $0x92
    lgdtl   %cs:(descriptor_table - rom)
    movl    %cr0, %eax
    orb     $1, %al
    movl    %eax, %cr0
    ljmpl   $8, $protected_mode

stop: // a reader of the console waits for its limit, and then finds no kernel's line
    hlt
    jmp     stop

    .code32
protected_mode:
    movw    $16, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %fs
    movw    %ax, %gs
    movw    %ax, %ss
    movl    $READ, %esi
    movl    load_begin, %edi
    movl    load_size, %ecx
    rep movsb
    movl    zero_size, %ecx
    xorl    %eax, %eax
    rep stosb
    movl    $LOADER_MAGIC, %eax
    movl    $INFORMATION, %ebx
    jmp     *entry

    .balign 8
descriptors:
    .quad   0
    .quad   0x00cf9a000000ffff          // code
    .quad   0x00cf92000000ffff          // data
descriptor_table:
    .word   . - descriptors - 1
    .long   descriptors

// What check_bochs.py knows, which it appends in this order.
    .balign 4
    .equ    chunks, .
    .equ    load_begin, . + 4
    .equ    load_size, . + 8
    .equ    zero_size, . + 12
    .equ    entry, . + 16
    .equ    command_line, . + 20

    .section .note.GNU-stack, "", @progbits
