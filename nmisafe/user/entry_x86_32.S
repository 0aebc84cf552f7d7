// SPDX-License-Identifier: MIT
// x86-32: from the vector to C++ and back in a kernel with user mode. The twin of entry_x86_64.S.
//
// What the CPU guarantees, beside what entry_x86_32.S of the module trap says [intel/vol3 6.12, 5.8.7]
//   1. From ring 3 it loads SS:ESP from the TSS and pushes SS, ESP, EFLAGS, CS, EIP there: a frame from
//      user mode is always at the top of the thread stack.
//   2. SYSENTER loads CS, SS, EIP, ESP from MSRs and clears IF and VM; nothing else, NT and TF neither.
// What it does not: DS, ES, FS and GS are the user's until they are loaded here, and again from the
// loads before the return on. In between no interrupt, but an NMI, #DB or #MC may land, in ring 0: so
// those load all four whatever CS says, and put back what they found. With isolated page tables the same holds for
// CR3: until it is changed nothing but what layout.h lists is mapped, and ESP0 is a stack of the CPU, not of the thread.
//
// The stack on the call into C++: struct user_frame, drawn in frame_x86_32.h. From ring 0 it ends with the
// EFLAGS.
#ifdef __i386__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/nmi_latch.h"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/entry_macros_x86_32.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

// ---------------------------------------------------------------------------------------------------
// One stub for each vector, as those of the module trap, at nmisafe_user_stubs + 16 * v.
    .balign 16
trap_code nmisafe_user_stubs
    .set    vector, 0
    .rept   X86_VECTORS
    .balign 16
    .cfi_hardware_frame 0
    indirect_target
    push_error_and_vector vector
    .if vector == X86_VECTOR_NMI
    jmp     nmisafe_user_nmi_common
    .elseif vector == X86_VECTOR_PF
    jmp     nmisafe_user_page_fault_common
    .elseif vector == X86_VECTOR_BP
    jmp     nmisafe_user_breakpoint_common
    .elseif vector == X86_VECTOR_DB || vector == X86_VECTOR_MC
    jmp     nmisafe_user_nmi_like_common
    .elseif vector == X86_VECTOR_NP || vector == X86_VECTOR_SS || vector == X86_VECTOR_GP
    jmp     nmisafe_user_segment_fault_common
    .else
    jmp     nmisafe_user_common
    .endif
    .set    vector, vector + 1
    .endr
    .balign 16
end_trap_code nmisafe_user_stubs

// ---------------------------------------------------------------------------------------------------
// SYSENTER. EDX: where to return to, ECX: the stack there. ESP points to the word that holds the thread
// stack's top (struct sysenter_top), or is the entry stack's, with room below for an NMI, #DB or #MC that lands before
// the first instruction has run. A single step of SYSENTER itself is such a #DB: TF is still set then, and
// the C++ side moves it to the second entry, where it becomes the task's.
trap_code nmisafe_user_sysenter
    .cfi_def_cfa %esp, 0
    .cfi_undefined %eip
    indirect_target
    load_sysenter_stack
    pushl   $0                          // SS and CS are the user's, and known: written below
    pushl   %ecx
    pushfl
    orl     $X86_FLAGS_IF, (%esp)
    jmp     .Lsysenter_flags

    .globl  nmisafe_user_sysenter_stepped
nmisafe_user_sysenter_stepped:
    load_sysenter_stack
    pushl   $0
    pushl   %ecx
    pushfl
    orl     $(X86_FLAGS_IF | X86_FLAGS_TF), (%esp)
.Lsysenter_flags:
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_MASK, %ss:nmisafe_user_removed
    jnz     .Lsysenter_frame
#endif
    pushl   $X86_FLAGS_FIXED
    popfl                               // NT, before any IRET: it would switch tasks; AC
.Lsysenter_frame:
    pushl   $0
    pushl   %edx
    pushl   $0                          // no error code
    pushl   $X86_VECTORS                // user::syscall_vector
    .cfi_user_frame FRAME_BELOW_IP
    clear_access
    enter_frame
    leave_entry_stack
    movl    $NMISAFE_USER_CODE_SELECTOR, USER_FRAME_TRAP + FRAME_CS(%esp)
    movl    $NMISAFE_USER_DATA_SELECTOR, USER_FRAME_SS(%esp)
    call_with_frame nmisafe_user_dispatch_syscall
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_sysenter

// ---------------------------------------------------------------------------------------------------
// Events that may interrupt anything, also the entries and returns of this file: #DB and #MC. From ring
// 0 the segments are loaded without a look at what they were, and put back as they were.
trap_code nmisafe_user_nmi_like_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    testb   $X86_RPL_MASK, STUB_CS(%esp)
    jnz     .Lnmi_like_from_user
    enter_frame
    load_kernel_tables_anywhere
    call_with_frame nmisafe_user_dispatch_anywhere, ANYWHERE_TRAP
    put_back_tables
    load_segments .Lnmi_like, FOUND_TABLES_SIZE
    leal    (ANYWHERE_TRAP - 4)(%esp), %esp // one word stays, in the place of an argument
    .cfi_adjust_cfa_offset -(ANYWHERE_TRAP - 4)
    jmp     nmisafe_trap_return

.Lnmi_like_from_user:
    .cfi_user_frame FRAME_BELOW_IP
    enter_frame
    leave_entry_stack
    call_with_frame nmisafe_user_dispatch_nmi_like
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_nmi_like_common

// #PF: as all others from user mode, the C++ side reads CR2 first of all.
trap_code nmisafe_user_page_fault_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    catch_virtual_8086
    testb   $X86_RPL_MASK, STUB_CS(%esp)
    jz      nmisafe_trap_page_fault_common
    .cfi_user_frame FRAME_BELOW_IP
    enter_frame
    leave_entry_stack
    call_with_frame nmisafe_user_dispatch_page_fault
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_page_fault_common

// #BP
trap_code nmisafe_user_breakpoint_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    catch_virtual_8086
    testb   $X86_RPL_MASK, STUB_CS(%esp)
    jz      nmisafe_trap_breakpoint_common
    jmp     nmisafe_user_from_user
end_trap_code nmisafe_user_breakpoint_common

// ---------------------------------------------------------------------------------------------------
// #NP, #SS, #GP. From ring 0 they may be a return to user mode that fails: a selector that cannot be
// loaded, or the IRET itself. That is the task's fault, and so becomes one from user mode.
//
//   ESP ->  vector | error | EIP | CS | EFLAGS   of this fault, and behind it
//           struct user_frame                    where a selector was loaded
//           EIP | CS | EFLAGS | ESP | SS         at the IRET, all registers the user's
trap_code nmisafe_user_segment_fault_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    catch_virtual_8086
    testb   $X86_RPL_MASK, STUB_CS(%esp)
    jnz     nmisafe_user_from_user
    cmpl    $nmisafe_user_iret, STUB_IP(%esp)
    je      .Lfaulting_iret
    .irp    segment, gs, fs, es, ds
    cmpl    $.Lexit_\segment, STUB_IP(%esp)
    je      .Lfaulting_\segment
    cmpl    $.Lnmi_like_\segment, STUB_IP(%esp)
    je      .Lnull_\segment
    cmpl    $.Lnmi_\segment, STUB_IP(%esp)
    je      .Lnull_\segment
    cmpl    $.Lnmi_nested_\segment, STUB_IP(%esp)
    je      .Lnull_\segment
    .endr
    jmp     nmisafe_trap_common

.Lfaulting_iret:
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_FIXUP, %ss:nmisafe_user_removed
    jnz     nmisafe_trap_common
#endif
    popl    8(%esp)                     // vector and error code, to below the user's own words
    popl    8(%esp)
    leal    4(%esp), %esp
    .cfi_user_frame FRAME_BELOW_IP
    call    nmisafe_user_unblock_nmis
    leal    4(%esp), %esp
    jmp     nmisafe_user_from_user

    .irp    segment, gs, fs, es, ds
.Lfaulting_\segment:
    movl    $0, STUB_IP + 3 * 4 + offset_\segment(%esp)
    jmp     .Lfaulting_load
    .endr
.Lfaulting_load:
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_FIXUP, %ss:nmisafe_user_removed
    jnz     nmisafe_trap_common
#endif
    popl    STUB_IP + 2 * 4 + USER_FRAME_TRAP + FRAME_VECTOR(%esp) // POP counts from ESP behind it
    popl    STUB_IP + 1 * 4 + USER_FRAME_TRAP + FRAME_ERROR(%esp)
    leal    3 * 4(%esp), %esp
    .cfi_user_frame USER_FRAME_TRAP + FRAME_IP
    call    nmisafe_user_unblock_nmis
    leal    4(%esp), %esp
    load_kernel_segments
    leave_entry_stack
    jmp     nmisafe_user_dispatch_frame

// A selector that an NMI, #DB or #MC found in a register and that cannot be loaded again: its descriptor
// has changed meanwhile. It becomes null; NMIs stay blocked.
    .irp    segment, gs, fs, es, ds
.Lnull_\segment:
    movl    $0, STUB_IP + 3 * 4 + FOUND_TABLES_SIZE + offset_\segment(%esp)
    jmp     .Lnull_load
    .endr
.Lnull_load:
    leal    FRAME_BELOW_IP(%esp), %esp
    pushl   HARDWARE_FLAGS(%esp)
    popfl
    ret     $8
end_trap_code nmisafe_user_segment_fault_common

// Ends what is left of an NMI, where nothing of it is needed any more: on a CPU or under an emulator where
// the IRET that faults has not done so, and before what only an ordinary return may do. Returns by the IRET,
// so that its caller drops the return address.
trap_code nmisafe_user_unblock_nmis
    .cfi_def_cfa %esp, 4
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_USER_WITHOUT_UNBLOCKING, %ss:nmisafe_user_removed
    jz      .Lunblock
    pushl   (%esp)
    ret
.Lunblock:
#endif
    pushfl
    pushl   %cs
    pushl   8(%esp)
    .globl  nmisafe_user_unblocking_iret
nmisafe_user_unblocking_iret:
    iretl                               // why an IRET: it unblocks NMIs
end_trap_code nmisafe_user_unblock_nmis

// ---------------------------------------------------------------------------------------------------
// The common path. From ring 0 nothing is new.
trap_code nmisafe_user_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    catch_virtual_8086
    testb   $X86_RPL_MASK, STUB_CS(%esp)
    jz      nmisafe_trap_common

    .globl  nmisafe_user_from_user
nmisafe_user_from_user:
    .cfi_user_frame FRAME_BELOW_IP
    enter_frame
    leave_entry_stack

    .globl  nmisafe_user_dispatch_frame
nmisafe_user_dispatch_frame:
    call_with_frame nmisafe_user_dispatch

// ESP -> struct user_frame, EAX: how to return (return_kind.h). Interrupts are off.
    .globl  nmisafe_user_return
nmisafe_user_return:
    go_to_entry_stack
    load_segments .Lexit
    cmpl    $USER_RETURN_FAST, %eax
    leave_frame
    je      .Lreturn_sysexit
    leal    FRAME_BELOW_IP(%esp), %esp
    .cfi_adjust_cfa_offset -FRAME_BELOW_IP
    .globl  nmisafe_user_iret
nmisafe_user_iret:
    iretl                               // why an IRET: to user mode

// EDX and ECX are what EIP and ESP are to be, and SYSEXIT loads those. The STI's shadow holds off an
// interrupt until user mode; an NMI, #DB or #MC in it is taken back to the STI (leave_sysexit_shadow).
.Lreturn_sysexit:
    .cfi_user_frame FRAME_BELOW_IP
    andl    $~X86_FLAGS_IF, FRAME_FLAGS - FRAME_VECTOR(%esp)
    pushl   FRAME_FLAGS - FRAME_VECTOR(%esp)
    popfl
    sti
    .globl  nmisafe_user_sysexit
nmisafe_user_sysexit:
    sysexit
end_trap_code nmisafe_user_common

#ifdef NMISAFE_USER_VIRTUAL_8086
// No task may be in virtual-8086 mode, and on a CPU none gets there; under QEMU 7.2 it does, by an IRET in
// ring 3. Such an event becomes a #GP of the task. Its frame has four more words above, the segments, and
// those are null now: the frame moves over them, from its end on, and a ring 3 selector is its CS.
// An NMI, #DB or #MC needs none of this: it is handled as one from ring 0, or as CS says, and refused.
trap_code nmisafe_user_from_virtual_8086
    .cfi_user_frame FRAME_BELOW_IP
    btrl    $31, STUB_FLAGS(%esp)       // QEMU 7.2 may push flags that are all 1, in a frame of another mode
    jc      .Lnot_virtual_8086
    .irp    offset, 24, 20, 16, 12, 8, 4, 0
    pushl   \offset(%esp)
    popl    (\offset + 16)(%esp)        // POP counts from ESP behind it
    .endr
    leal    16(%esp), %esp
.Lnot_virtual_8086:
    movl    $X86_VECTOR_GP, 0(%esp)
    movl    $0, 4(%esp)
    movl    $NMISAFE_USER_CODE_SELECTOR, STUB_CS(%esp)
    movl    $NMISAFE_USER_DATA_SELECTOR, STUB_FLAGS + 8(%esp)
    andl    $~X86_FLAGS_VM, STUB_FLAGS(%esp)
    jmp     nmisafe_user_from_user
end_trap_code nmisafe_user_from_virtual_8086
#endif

// [[noreturn]] void nmisafe_user_enter(user_frame*)
trap_code nmisafe_user_enter
    .cfi_undefined %eip
    movl    4(%esp), %esp
    movl    $USER_RETURN_IRET, %eax
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_enter

// ---------------------------------------------------------------------------------------------------
// NMI. From ring 0 as #DB and #MC, and back by its own IRET, which cannot fault: the frame is the
// kernel's. From user mode it is on the thread stack, where nothing else is. nmi_x86_32.S says what a further NMI
// does at each boundary; what is here beyond it are the segments.
trap_code nmisafe_user_nmi_common
    .cfi_hardware_frame FRAME_BELOW_IP
    clear_access
    enter_frame
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    testb   $X86_RPL_MASK, USER_FRAME_TRAP + FRAME_CS(%esp)
    jz      .Lnmi_on_stack
    .cfi_remember_state
    .cfi_user_frame USER_FRAME_TRAP + FRAME_IP
    leave_entry_stack
    .cfi_restore_state
.Lnmi_on_stack:
#endif
    load_kernel_tables_anywhere
    find_interrupted_exit nmisafe_user_nmi, interrupted=.Lnmi_interrupted_exit, below=ANYWHERE_TRAP
.Lnmi_run:
    call_with_frame nmisafe_user_nmi, ANYWHERE_TRAP
    end_nmi nmisafe_user_nmi, nested=.Lnmi_nested, run=.Lnmi_run
    testb   $X86_RPL_MASK, ANYWHERE_TRAP + FRAME_CS(%esp)
    jnz     .Lnmi_to_user
    put_back_tables
    load_segments .Lnmi, FOUND_TABLES_SIZE
    leave_nmi nmisafe_user_nmi, below=ANYWHERE_TRAP

// With isolated page tables CR3 is the kernel's again, and what the interrupted one has found is still in its place.
.Lnmi_interrupted_exit:
    take_over_exit nmisafe_user_nmi, run=.Lnmi_run, at_iret=.Lnmi_interrupted_iret, below=ANYWHERE_TRAP

// All that is saved here is the interrupted code's already, CR3 too, and its EIP, CS and EFLAGS are next: what is
// saved moves up to them.
.Lnmi_interrupted_iret:
    .set    offset, ANYWHERE_TRAP + FRAME_IP - 4
    .rept   (ANYWHERE_TRAP + FRAME_IP) / 4
    movl    offset(%esp), %eax
    movl    %eax, offset + 12(%esp)
    .set    offset, offset - 4
    .endr
    addl    $12, %esp
    jmp     .Lnmi_run

// One in the middle of another NMI's handling goes back without IRET.
.Lnmi_nested:
    put_back_tables
    load_segments .Lnmi_nested, FOUND_TABLES_SIZE
    .cfi_remember_state
    leal    ANYWHERE_TRAP(%esp), %esp
    .cfi_adjust_cfa_offset -ANYWHERE_TRAP
    jmp     nmisafe_trap_nmi_nested
    .cfi_restore_state

// An image that IRET must not load as it is ends the NMI here, and goes on as any other from user mode. A further
// NMI is one of its own from here on, and takes a frame below this one.
.Lnmi_to_user:
    .cfi_user_frame ANYWHERE_TRAP + FRAME_IP
    .if FOUND_TABLES_SIZE
    addl    $FOUND_TABLES_SIZE, %esp    // on the thread's stack it was the kernel's
    .cfi_adjust_cfa_offset -FOUND_TABLES_SIZE
    .endif
    call_with_frame nmisafe_user_is_refused
    testb   %al, %al
    movl    $USER_RETURN_IRET, %eax
    jz      nmisafe_user_return
    call    nmisafe_user_unblock_nmis
    leal    4(%esp), %esp
    call_with_frame nmisafe_user_finish
    jmp     nmisafe_user_return
end_trap_code nmisafe_user_nmi_common

#endif // __i386__

    .section .note.GNU-stack, "", @progbits
