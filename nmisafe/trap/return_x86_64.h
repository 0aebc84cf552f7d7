// SPDX-License-Identifier: MIT
// The NMI-safe returns of x86-64 as assembler macros: RIP, RSP and RFLAGS are restored without IRET,
// so a trap taken inside an NMI handler leaves further NMIs blocked. [intel/vol3 6.7.1]
//
// For an entry path of your own: return_alone.h, which also decides which images may go this way.
//
// Facts the macros build on
//   1. In 64-bit mode the CPU always pushes SS:RSP and aligns RSP to 16 first, so the frame of a trap
//      on the interrupted stack ends 0 or 8 bytes below the interrupted RSP. [intel/vol3 6.14.2]
//   2. POPF restores every flag but RF, VM, VIF and VIP. Which images may go this way is decided in
//      return_plan.hpp. [intel/vol2 POPF]
//   3. POPF has no interrupt shadow: with IF=1 in the image an interrupt would land on the return
//      instruction, still holding this stack; a storm of them would eat it. STI has one: nothing
//      maskable is taken before the instruction after it has run. [intel/vol2 STI]
//   4. The interrupted code has no red zone, as everything that may be interrupted in ring 0.
//
// The stacks, for a frame on the interrupted stack with RSP 16-aligned ("old", left) and what the near
// return makes of it (right). All words still needed are at RSP or above it at every boundary: before
// LEA they are on the trap's stack and in RAX, RCX; LEA moves RSP straight down to the lowest of them.
//
//   interrupted RSP ->  |        |             |        |  <- RSP after RET
//                  -8   | ss     |             | rip    |
//                  -16  | rsp    |             | rflags |
//                  -24  | rflags |             | rcx    |  <- RSP after LEA
//                  -32  | cs     |             | cs     |
//                  -40  | rip    |             | rip    |
//                       | ...    |             | ...    |
//                       | rax    |             | rax    |
//                       | rcx    |  <- RSP     | rcx    |
//
// Each word is read before its place is overwritten: with the frame one word lower (RSP not aligned,
// a pad word above ss) or on another stack (IST) the same order holds, and it also holds when a
// handler has raised the frame's RSP, or lowered it by one word to emulate a CALL.
//
// A handler may lower it further. Then the copy would lie on words still needed, or below RSP. So the
// words are first moved to where they would be had the trap come at the new RSP plus one word: all of
// them below the copy. RSP goes there first, and each word moves down, the lowest first.
#ifndef NMISAFE_TRAP_RETURN_X86_64_H
#define NMISAFE_TRAP_RETURN_X86_64_H

#include "nmisafe/trap/return_common.h"
#include "nmisafe/x86/flags.h"

#ifdef __ASSEMBLER__

// Offsets in the frame that the CPU pushes.
#define HARDWARE_IP 0
#define HARDWARE_CS 8
#define HARDWARE_FLAGS 16
#define HARDWARE_SP 24
#define HARDWARE_SIZE 40

/// Clears IF in the copied image when the STI form follows; STI sets it again.
.macro image_without_interrupts interrupts
    .if \interrupts
    andl    $~X86_FLAGS_IF, %eax        // bits 63:32 of RFLAGS are zero: the 32-bit form clears them
    .endif
.endm

/// Loads the interrupted RSP into RCX; goes to \lowered, with the place to move to in RAX, if it is more
/// than a word below the end of the frame.
.macro load_interrupted_sp frame:req, lowered:req
    movq    \frame + HARDWARE_SP(%rsp), %rcx
    leaq    -(\frame + HARDWARE_SIZE - 8)(%rcx), %rax
    cmpq    %rsp, %rax
    jb      \lowered
.endm

/// Moves what a return reads down to RAX, and RSP with it. RCX is free.
.macro move_below_interrupted_sp frame:req
    RETURN_CFI(.cfi_def_cfa %rsp, \frame + HARDWARE_SIZE)
    RETURN_CFI(.cfi_offset %rip, -HARDWARE_SIZE)
    RETURN_CFI(.cfi_offset %rsp, HARDWARE_SP - HARDWARE_SIZE)
    xchgq   %rax, %rsp
    RETURN_CFI(.cfi_def_cfa_register %rax)
    .irp    offset, 0, 8, \frame+HARDWARE_IP
    movq    \offset(%rax), %rcx
    movq    %rcx, \offset(%rsp)
    .endr
    RETURN_CFI(.cfi_def_cfa %rsp, \frame + HARDWARE_SIZE - 8)  // the interrupted RSP
    RETURN_CFI(.cfi_offset %rip, 8 - HARDWARE_SIZE)
    RETURN_CFI(.cfi_restore %rsp)
    .irp    offset, \frame+HARDWARE_CS, \frame+HARDWARE_FLAGS, \frame+HARDWARE_SP
    movq    \offset(%rax), %rcx
    movq    %rcx, \offset(%rsp)
    .endr
.endm

/// Return by POPF and a near return. RSP -> saved RCX, saved RAX above it, the hardware frame at
/// \frame(%rsp). \interrupts=1 for an image with IF=1. Does not load CS: same code segment only.
.macro nmi_safe_return_near frame:req, interrupts=0, shadowed=none
    balance_return_stack
.Lread\@:
    load_interrupted_sp \frame, .Llowered\@
    movq    \frame + HARDWARE_IP(%rsp), %rax
    movq    %rax, -8(%rcx)
    RETURN_CFI(.cfi_def_cfa %rcx, 0)                // the frame is being overwritten: describe the copy
    RETURN_CFI(.cfi_offset %rip, -8)
    RETURN_CFI(.cfi_restore %rsp)
    movq    \frame + HARDWARE_FLAGS(%rsp), %rax
    image_without_interrupts \interrupts
    movq    %rax, -16(%rcx)
    popq    -24(%rcx)                   // the saved RCX travels with the copy
    capture_return flags=-16 ip=-8 interrupts=\interrupts
    popq    %rax
    leaq    -24(%rcx), %rsp             // the switch: one instruction, nothing needed is left below
    RETURN_CFI(.cfi_def_cfa %rsp, 24)
    popq    %rcx
    RETURN_CFI(.cfi_adjust_cfa_offset -8)
    popfq
    RETURN_CFI(.cfi_adjust_cfa_offset -8)
    end_return \interrupts, \shadowed
    ret
.Llowered\@:
    move_below_interrupted_sp \frame
    jmp     .Lread\@
.endm

/// Return by POPF and a far return (REX.W: the default pops 32 bits). As above; also reloads CS, and
/// pops the {CS, RIP, SSP} that delivery left on a supervisor shadow stack, which a near return
/// cannot: the form for CET. [intel/vol2 RET]
.macro nmi_safe_return_far frame:req, interrupts=0, shadowed=none
.Lread\@:
    load_interrupted_sp \frame, .Llowered\@
    movq    \frame + HARDWARE_CS(%rsp), %rax
    movq    %rax, -8(%rcx)
    movq    \frame + HARDWARE_FLAGS(%rsp), %rax
    image_without_interrupts \interrupts
    movq    %rax, -24(%rcx)
    movq    \frame + HARDWARE_IP(%rsp), %rax
    movq    %rax, -16(%rcx)
    RETURN_CFI(.cfi_def_cfa %rcx, 0)
    RETURN_CFI(.cfi_offset %rip, -16)
    RETURN_CFI(.cfi_restore %rsp)
    popq    -32(%rcx)
    capture_return flags=-24 ip=-16 cs=-8 interrupts=\interrupts
    popq    %rax
    leaq    -32(%rcx), %rsp
    RETURN_CFI(.cfi_def_cfa %rsp, 32)
    popq    %rcx
    RETURN_CFI(.cfi_adjust_cfa_offset -8)
    popfq
    RETURN_CFI(.cfi_adjust_cfa_offset -8)
    end_return \interrupts, \shadowed
    lretq
.Llowered\@:
    move_below_interrupted_sp \frame
    jmp     .Lread\@
.endm

/// The RFC's test of the return path: hands the words just laid down for POPF and the return to
/// nmisafe_trap_captured(). Nothing at all unless compiled with NMISAFE_TRAP_RETURN_CAPTURE.
/// RSP -> saved RAX, which is free to be borrowed; every other register is live.
.macro capture_return flags:req, ip:req, interrupts:req, cs=none
#ifdef NMISAFE_TRAP_RETURN_CAPTURE
    .irp    register, rdi, rsi, rdx, rcx, rbp, r8, r9, r10, r11
    pushq   %\register
    .endr
    movq    %rsp, %rbp
    movq    \ip(%rcx), %rdi             // arg 1: RIP
    .ifc \cs,none
    movl    %cs, %esi                   // arg 2: CS; where the return pops none, the one it keeps
    .else
    movq    \cs(%rcx), %rsi
    .endif
    movq    \flags(%rcx), %rdx          // arg 3: RFLAGS as POPF will load them
    .if \interrupts
    orl     $X86_FLAGS_IF, %edx         // and as STI completes them
    .endif
    andq    $-16, %rsp                  // the ABI's call alignment
    cld
    call    nmisafe_trap_captured
    movq    %rbp, %rsp
    .irp    register, r11, r10, r9, r8, rbp, rcx, rdx, rsi, rdi
    popq    %\register
    .endr
#endif
.endm

#endif // __ASSEMBLER__
#endif
