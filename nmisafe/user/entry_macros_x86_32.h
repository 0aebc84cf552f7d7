// SPDX-License-Identifier: MIT
// Assembler macros of entry_x86_32.S: the frame, and the segments in it.
#ifndef NMISAFE_USER_ENTRY_MACROS_X86_32_H
#define NMISAFE_USER_ENTRY_MACROS_X86_32_H

#ifdef __ASSEMBLER__

#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/return_x86_32.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/frame_x86_32.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/trap_frame.h"

#define FRAME_BELOW_IP (FRAME_IP - FRAME_VECTOR) // vector and error code
#define SEGMENTS_SIZE USER_FRAME_TRAP            // GS, FS, ES, DS
#define CPU_WORD(offset) (NMISAFE_USER_CPU + (offset))
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#define FOUND_TABLES_SIZE 4                      // CR3 as an NMI, #DB or #MC has found it, below the rest
#else
#define FOUND_TABLES_SIZE 0
#endif
#define ANYWHERE_TRAP (FOUND_TABLES_SIZE + USER_FRAME_TRAP) // from ESP to their struct trap_frame
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
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movl    $NMISAFE_USER_CPU_SELECTOR, %eax
#else
    movzwl  nmisafe_trap_percpu_selector, %eax
#endif
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

/// ESP + \below -> struct user_frame. Each may fault; \name_gs and so on say where. The words stay where they are:
/// what faults finds the whole frame.
.macro load_segments name:req, below=0
    .irp    segment, gs, fs, es, ds
\name\()_\segment:
    movw    \below + offset_\segment(%esp), %\segment
    .endr
.endm

/// Drops the segments and takes the registers.
.macro leave_frame
    leal    SEGMENTS_SIZE(%esp), %esp
    .cfi_adjust_cfa_offset -SEGMENTS_SIZE
    pop_registers
.endm

// Isolated page tables. Until CR3 is changed nothing is mapped but what layout.h lists, and the stack is the entry
// stack: with the kernel's GS, CPU_WORD() leads on. Without the option none of these has an instruction
// but the first, which has its one then.

/// What SYSENTER has not done for ESP.
.macro load_sysenter_stack
#ifndef NMISAFE_PAGE_TABLE_ISOLATION
    movl    (%esp), %esp
#endif
.endm

/// From user mode, behind enter_frame: CR3 becomes the thread's in the kernel, and the frame moves to its stack.
/// Registers are lost.
.macro leave_entry_stack
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movl    %gs:CPU_WORD(USER_KERNEL_TABLES), %eax
    movl    %eax, %cr3
    movl    %esp, %esi
    .cfi_def_cfa_register %esi
    movl    %gs:CPU_WORD(USER_STACK_TOP), %esp
    .set    offset, USER_FRAME_SIZE
    .rept   USER_FRAME_SIZE / 4
    .set    offset, offset - 4
    pushl   offset(%esi)                // SS first, GS last
    .endr
    .cfi_def_cfa_register %esp
#endif
.endm

/// The way back: ESP -> struct user_frame, a copy of it on the entry stack behind this, and CR3 is that of user mode.
/// ECX and EDX are lost.
.macro go_to_entry_stack
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movl    %gs:CPU_WORD(USER_ENTRY_STACK), %ecx
    .set    offset, USER_FRAME_SIZE
    .rept   USER_FRAME_SIZE / 4
    .set    offset, offset - 4
    movl    offset(%esp), %edx
    movl    %edx, offset - USER_FRAME_SIZE(%ecx)
    .endr
    leal    -USER_FRAME_SIZE(%ecx), %esp
    movl    %gs:CPU_WORD(USER_TASK_TABLES), %edx
    movl    %edx, %cr3
#endif
.endm

/// NMI, #DB and #MC: ESP -> struct user_frame, on any stack. CR3 becomes the kernel's, whatever it is, and what it was
/// lies at ESP. EAX and ECX are lost.
.macro load_kernel_tables_anywhere
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movl    %cr3, %eax
    pushl   %eax
    .cfi_adjust_cfa_offset 4
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_TABLES, nmisafe_trap_removed
    jnz     .Lkernel_tables\@
#endif
    movl    %gs:CPU_WORD(USER_KERNEL_TABLES), %ecx
    cmpl    %eax, %ecx
    je      .Lkernel_tables\@           // a load flushes the TLB
    movl    %ecx, %cr3
.Lkernel_tables\@:
#endif
.endm

/// And back; the word stays where it is. ECX is lost.
.macro put_back_tables
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_TABLES_BACK, nmisafe_trap_removed
    jnz     .Ltables_are_back\@
#endif
    movl    (%esp), %ecx
    cmpl    %gs:CPU_WORD(USER_KERNEL_TABLES), %ecx
    je      .Ltables_are_back\@
    movl    %ecx, %cr3
.Ltables_are_back\@:
#endif
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
