// SPDX-License-Identifier: MIT
// For both widths: what the image needs of the CPU, asked before it is used. Else the first CPU that
// lacks something would reset, or #UD without an IDT, without a word.
#include "kernel/boot/layout.h"
#include "nmisafe/x86/flags.h"

#define PHYSICAL(symbol) (symbol - KERNEL_IMAGE_BASE)
#define DEBUG_PORT 0xe9
#define SERIAL_PORT 0x3f8
#define SERIAL_STATUS 0x3fd
#define SERIAL_CAN_SEND 0x20
#define EXIT_PORT 0xf4
#define EXIT_FAILURE 0x11
#define SHUTDOWN_PORT 0x8900 // Bochs
#define EXTENDED 0x80000001

// need leaf, bit, name: a row of the table, by the bit of CPUID's EDX that says that it is there
.macro need leaf, bit, name
    .section .rodata.required_names, "a", @progbits
8:  .asciz  "\name"
    .section .rodata.required, "a", @progbits
    .long   \leaf, 1 << \bit, PHYSICAL(8b)
.endm

    .section .rodata.required, "a", @progbits
    .balign 4
required:
#ifdef __x86_64__
    need    EXTENDED, 29, "long mode"
#endif
#if defined(__x86_64__) || defined(KERNEL_PAE)
    need    1, 6, "PAE"
#else
    need    1, 3, "PSE"
#endif
#ifdef __x86_64__
    need    1, 5, "MSRs"
#endif
    need    1, 9, "a local APIC"
    need    1, 15, "CMOV"
    .section .rodata.required, "a", @progbits
required_end:

    .section .rodata
lacks_begin:
    .asciz  "@panic what=\"this CPU lacks "
lacks_comma:
    .asciz  ", "
lacks_end:
    .asciz  "\" cpu=0\n"
shutdown:
    .asciz  "Shutdown"

    .section kernel_boot_text, "ax", @progbits
    .code32
/// Returns if the CPU has all of it, else says what it lacks and ends the run. In protected mode,
/// without paging. Keeps EBX and EBP.
    .globl  require_cpu
require_cpu:
    pushl   %ebx
    xorl    %edx, %edx                  // so far nothing has been said
    movl    $PHYSICAL(required), %esi
.Lnext:
    movl    (%esi), %eax
    call    features
    testl   4(%esi), %eax
    jnz     .Lhas
    movl    $PHYSICAL(lacks_comma), %edi
    testl   %edx, %edx
    jnz     1f
    movl    $PHYSICAL(lacks_begin), %edi
1:  call    say
    movl    8(%esi), %edi
    call    say
    movl    $1, %edx
.Lhas:
    addl    $12, %esi
    cmpl    $PHYSICAL(required_end), %esi
    jb      .Lnext
    popl    %ebx
    testl   %edx, %edx
    jnz     1f
    ret
1:  movl    $PHYSICAL(lacks_end), %edi
    call    say
    movb    $EXIT_FAILURE, %al
    outb    %al, $EXIT_PORT
    movl    $PHYSICAL(shutdown), %edi
    movw    $SHUTDOWN_PORT, %dx
1:  movb    (%edi), %al
    testb   %al, %al
    jz      2f
    outb    %al, %dx
    incl    %edi
    jmp     1b
2:  hlt
    jmp     2b

// EAX: the leaf, and back EDX of CPUID, 0 if the CPU has no such leaf, or no CPUID at all
features:
    pushl   %edx
    pushl   %eax
    pushfl
    popl    %eax
    movl    %eax, %ecx
    xorl    $X86_FLAGS_ID, %eax         // it can be changed where there is CPUID
    pushl   %eax
    popfl
    pushfl
    popl    %eax
    pushl   %ecx
    popfl
    xorl    %ecx, %eax
    andl    $X86_FLAGS_ID, %eax
    jz      1f
    movl    (%esp), %eax
    andl    $0x80000000, %eax
    cpuid                               // the highest leaf of its kind
    cmpl    (%esp), %eax
    movl    $0, %eax
    jb      1f
    movl    (%esp), %eax
    cpuid
    movl    %edx, %eax
1:  popl    %ecx
    popl    %edx
    ret

// EDI: what to print
say:
    pushl   %edx
.Lcharacter:
    movb    (%edi), %cl
    testb   %cl, %cl
    jz      3f
    inb     $DEBUG_PORT, %al            // reads as its own number where there is one
    cmpb    $DEBUG_PORT, %al
    jne     1f
    movb    %cl, %al
    outb    %al, $DEBUG_PORT
    jmp     2f
1:  movw    $SERIAL_STATUS, %dx         // as the firmware left it
    inb     %dx, %al
    testb   $SERIAL_CAN_SEND, %al
    jz      1b
    movw    $SERIAL_PORT, %dx
    movb    %cl, %al
    outb    %al, %dx
2:  incl    %edi
    jmp     .Lcharacter
3:  popl    %edx
    ret

    .section .note.GNU-stack, "", @progbits
