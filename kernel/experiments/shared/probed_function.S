// SPDX-License-Identifier: MIT
// A function of many kinds of instructions, for both widths; each stands in a table with the number
// of times it is executed. All that a probe could spoil goes into the result: registers, flags,
// return addresses, the stack pointer, and which way the branches go.
#include "kernel/boot/layout.h"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/x86/indirect_target.h"

#ifdef __x86_64__
#define AX %rax
#define BX %rbx
#define CX %rcx
#define DX %rdx
#define SI %rsi
#define DI %rdi
#define BP %rbp
#define SP %rsp
#define WORD 8
#define ARGUMENT %rdi
#define DATA(name) name(%rip)
#define POINTER .quad
#define JUMP_IF_CX_ZERO jrcxz
#define CALL_ALIGNMENT 8
#else
#define AX %eax
#define BX %ebx
#define CX %ecx
#define DX %edx
#define SI %esi
#define DI %edi
#define BP %ebp
#define SP %esp
#define WORD 4
#define ARGUMENT 20(%esp) // behind four registers and the return address
#define DATA(name) name
#define POINTER .long
#define JUMP_IF_CX_ZERO jecxz
#define CALL_ALIGNMENT 12
#endif

#define ARITHMETIC_FLAGS 0x8d5

.macro listed executions:req, in_sweep:req, instruction:vararg
.Lprobed_\@:
    \instruction
    .pushsection .rodata.probed, "a"
    .long   .Lprobed_\@ - .
    .short  \executions, \in_sweep
    .popsection
.endm

.macro probed executions:req, instruction:vararg
    listed \executions, PROBED_ALWAYS, \instruction
.endm
.macro swept executions:req, instruction:vararg
    listed \executions, PROBED_IN_SWEEP, \instruction
.endm

// The same for an ENDBR, where the kernel has them.
.macro probed_target executions:req
#if defined(__CET__) && (__CET__ & 1)
    probed \executions, indirect_target
#endif
.endm

    .pushsection .rodata.probed, "a"
    .balign 4
    .globl  probed_instructions, probed_instructions_end
probed_instructions:
    .popsection

    .text
    .globl  probed_function
    .type   probed_function, @function
    .balign 16
probed_function:
    probed_target 1
    probed 1, push   BX
    probed 1, push   BP
    probed 1, push   SI
    probed 1, push   DI
    probed 1, mov    SP, BP
    probed 1, mov    ARGUMENT, AX
    probed 1, lea    0x1234(AX), DX
    swept  1, mov    DATA(probed_data), BX           // relative to the instruction, on x86-64
    probed 1, xor    BX, DX
    probed 1, cmpl   $0x12345678, DATA(probed_data)  // the same, with an immediate behind it
    probed 1, jne    .Lskipped
    probed 1, nopl   0(AX)
    probed 1, nop
    probed 1, mul    DX
    probed 1, adc    $77, DX
    probed 1, push   AX
    probed 1, lock   xadd DX, (SP)
    probed 1, pop    AX
    probed 1, bswap  %edx
    probed 1, mov    $5, %ecx

.Leach:
    probed 5, testb  $1, %cl
    probed 5, jz     .Leven
    probed 3, call   probed_add
    probed 3, jmp    .Lcount
.Leven:
    probed 2, push   CX
    swept  2, call   *DATA(probed_pointers)
.Lcount:
    probed 5, loop   .Leach
    probed 1, JUMP_IF_CX_ZERO .Lzero
.Lskipped:
    probed 0, xor    AX, AX
.Lzero:
    probed 1, pushf
    probed 1, pop    DX
    probed 1, and    $ARITHMETIC_FLAGS, DX
    probed 1, add    DX, AX
    probed 1, push   $ARITHMETIC_FLAGS + 2           // bit 1 reads as 1 always
    probed 1, popf
    swept  1, jnc    .Lskipped
    probed 1, setp   %dl
    probed 1, jle    .Lless
    probed 0, xor    AX, AX
.Lless:
    probed 1, str    %edx                            // system instructions that can be copied
    probed 1, add    DX, AX
    probed 1, sldt   %edx
    probed 1, sub    DX, AX
    probed 1, mov    $KERNEL_DATA_SELECTOR, %edx
    probed 1, verw   %dx                             // SS is null in an NMI on QEMU: not that one
    probed 1, setz   %dl
    probed 1, clts
    probed 1, movzbl %dl, %edx
    probed 1, add    DX, AX
    probed 1, lea    DATA(probed_distance), DX
    probed 1, call   *DX
    swept  1, call   probed_distance
    probed 1, sub    $32, SP
    probed 1, mov    SP, DI
    probed 1, lea    DATA(probed_data), SI
    probed 1, mov    $2 * WORD, %ecx
    probed 1, cld
    probed 1, rep movsb
    probed 1, add    (SP), AX
    probed 1, rol    $3, AX
    probed 1, add    WORD(SP), AX
    probed 1, std
    probed 1, cli
    probed 1, pushf
    probed 1, pop    DX
    probed 1, cld
    probed 1, shr    $10, DX                         // DF
    probed 1, and    $1, DX
    probed 1, imul   $1000003, DX, DX
    probed 1, add    DX, AX
    probed 1, lea    DATA(.Lregister), DX
    probed 1, jmp    *DX
    probed 0, xor    AX, AX
.Lregister:
    probed_target 1
    probed 1, lea    DATA(probed_pointers), DX
    swept  1, jmp    *WORD(DX)
    probed 0, xor    AX, AX
.Lmemory:
    probed_target 1
    probed 1, mov    BP, SP
    probed 1, pop    DI
    probed 1, pop    SI
    probed 1, pop    BP
    probed 1, pop    BX
    swept  1, ret

// AX += CX, and the distance of the return address from here.
probed_add:
    probed 3, push   CX
    probed 3, add    (SP), AX
    probed 3, pop    CX
    probed 3, lea    DATA(probed_add), DX
    probed 3, sub    (SP), DX
    probed 3, sub    DX, AX
    probed 3, ret

// AX = 3 AX + the word pushed, which it pops.
probed_triple:
    probed_target 2
    probed 2, lea    (AX, AX, 2), AX
    probed 2, add    WORD(SP), AX
    swept  2, ret    $WORD

// AX += the distance of the return address from here.
probed_distance:
    probed_target 2
    probed 2, lea    DATA(probed_distance), DX
    probed 2, sub    (SP), DX
    probed 2, sub    DX, AX
    probed 2, ret
    .size   probed_function, . - probed_function

    .globl  window_probed, window_probed_begin, window_probed_end
    .type   window_probed, @function
    .balign 16
window_probed:
    indirect_target
    lea     -CALL_ALIGNMENT(SP), SP
    .rept   WINDOW_SLED
    nop
    .endr
window_probed_begin:
    call    probed_action
window_probed_end:
    lea     CALL_ALIGNMENT(SP), SP
    ret

    .globl  probe_slots
    .balign PROBE_SLOT_SIZE
probe_slots:
    .skip   PROBE_SLOTS * PROBE_SLOT_SIZE, 0xcc

    .section .rodata.probed, "a"
probed_instructions_end:

    .section .rodata
    .balign WORD
probed_data:
    .long   0x12345678, 0x9abcdef1, 0x0fedcba9, 0x87654321
probed_pointers:
    POINTER probed_triple, .Lmemory

    .section .note.GNU-stack, "", @progbits
