// SPDX-License-Identifier: MIT
// Assembler macros of entry_x86_32.S: the frame, and the segments in it.
#ifndef NMISAFE_USER_ENTRY_MACROS_X86_32_H
#define NMISAFE_USER_ENTRY_MACROS_X86_32_H

#ifdef __ASSEMBLER__

#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/return_x86_32.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/frame_x86_32.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/trap_frame.h"

#define FRAME_BELOW_IP (FRAME_IP - FRAME_VECTOR) // vector and error code
#define SEGMENTS_SIZE USER_FRAME_TRAP            // GS, FS, ES, DS
#define STUB_IP FRAME_BELOW_IP                   // from ESP, behind a stub
#define STUB_CS (STUB_IP + HARDWARE_CS)
#define STUB_FLAGS (STUB_IP + HARDWARE_FLAGS)

    .set    offset_gs, USER_FRAME_GS
    .set    offset_fs, USER_FRAME_FS
    .set    offset_es, USER_FRAME_ES
    .set    offset_ds, USER_FRAME_DS

/// Describes the frame of an event in user mode, where the CPU pushes ESP and SS too.
.macro .cfi_user_frame below
    .cfi_def_cfa %esp, 5 * 4 + \below
    .cfi_offset %eip, -5 * 4
    .cfi_offset %esp, -2 * 4
.endm

/// All general registers, in the order of struct trap_frame; then the segments, with what a PUSH of a
/// selector leaves of the word cleared; and the kernel's segments instead.
.macro enter_frame
    push_registers
    .irp    segment, ds, es, fs, gs
    movl    %\segment, %eax
    pushl   %eax
    .endr
    .cfi_adjust_cfa_offset SEGMENTS_SIZE
    load_kernel_segments
    cld                                 // the ABI wants DF=0; the interrupted code may not
.endm

/// EAX is spoilt. By SS, which is the kernel's after each event and SYSENTER.
.macro load_kernel_segments
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_GS, %ss:nmisafe_user_removed // then ring 0 is believed to have them
    jz      .Lload\@
    testb   $X86_RPL_MASK, USER_FRAME_TRAP + FRAME_CS(%esp)
    jz      .Lloaded\@
.Lload\@:
#endif
    movl    %ss, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    $NMISAFE_USER_KERNEL_FS, %eax
    movl    %eax, %fs
    movzwl  nmisafe_trap_percpu_selector, %eax
    movl    %eax, %gs
.Lloaded\@:
.endm

/// Where layout.h asks for it: a user's AC would let the kernel access what SMAP forbids.
.macro clear_access
#ifdef NMISAFE_USER_CLAC
    clac
#endif
.endm

/// Where layout.h asks for it: CS says nothing of an event in virtual-8086 mode.
.macro catch_virtual_8086
#ifdef NMISAFE_USER_VIRTUAL_8086
    testl   $X86_FLAGS_VM, STUB_FLAGS(%esp)
    jnz     nmisafe_user_from_virtual_8086
#endif
.endm

/// ESP -> struct user_frame. Each may fault; \name_gs and so on say where. The words stay where they are:
/// what faults finds the whole frame.
.macro load_segments name:req
    .irp    segment, gs, fs, es, ds
\name\()_\segment:
    movw    offset_\segment(%esp), %\segment
    .endr
.endm

/// Drops the segments and takes the registers.
.macro leave_frame
    leal    SEGMENTS_SIZE(%esp), %esp
    .cfi_adjust_cfa_offset -SEGMENTS_SIZE
    pop_registers
.endm

/// Calls C++ with the address of the whole frame, or of the trap frame in it.
.macro call_with_frame function:req, offset=0
    leal    \offset(%esp), %eax
    pushl   %eax
    .cfi_adjust_cfa_offset 4
    call    \function
    addl    $4, %esp
    .cfi_adjust_cfa_offset -4
.endm

#endif // __ASSEMBLER__
#endif
