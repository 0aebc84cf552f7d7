// SPDX-License-Identifier: MIT
// x86-32: the code windows of the experiments. The twin of windows_x86_64.S: same order, same labels.
//
// Each window is a label pair around the instruction that starts the path under test. The NOPs in front
// keep it away from the arming of the one-shot, whose shortest delay they take up.
#ifdef __i386__

#include "kernel/experiments/shared/windows.h"
#include "nmisafe/x86/indirect_target.h"

    .text

.macro sled
    .rept   WINDOW_SLED
    nop
    .endr
.endm

.macro window_function name:req
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    indirect_target
.endm

.macro window_label name:req
    .globl  \name
\name:
.endm

// void window_breakpoint(void)
window_function window_breakpoint
    sled
window_label window_breakpoint_begin
    int3
window_label window_breakpoint_end
    ret

// void window_breakpoint_if(void): interrupts are on in it, none is pending
window_function window_breakpoint_if
    sled
    sti
    nop                                 // the shadow of STI ends before the window
window_label window_breakpoint_if_begin
    int3
window_label window_breakpoint_if_end
    cli
    ret

// void window_page_fault(void* page)
window_function window_page_fault
    movl    4(%esp), %ecx
    sled
window_label window_page_fault_begin
    movb    $0x5a, (%ecx)
window_label window_page_fault_end
    ret

// void window_nmi_*(volatile uint32_t* command_register, uint32_t command): one for each path, so that
// their walks can be told apart in QEMU's log
.macro window_nmi name:req
window_function \name
    movl    4(%esp), %ecx
    movl    8(%esp), %edx
    sled
    jmp     1f                          // a block begins with the window: QEMU logs blocks
1:
window_label \name\()_begin
    movl    %edx, (%ecx)                // the local APIC takes the command, the NMI comes next
window_label \name\()_end
    ret
.endm

window_nmi window_nmi_breakpoint
window_nmi window_nmi_page_fault
window_nmi window_nmi_vmalloc
window_nmi window_nmi_nothing
window_nmi window_nmi_debug
window_nmi window_nmi_machine_check

// void window_nothing(uintptr_t count): count times a NOP, to be interrupted anywhere
window_function window_nothing
    movl    4(%esp), %ecx
    sled
    std                                 // the entry must not rely on DF=0
window_label window_nothing_begin
1:  nop
    subl    $1, %ecx
    jnz     1b
window_label window_nothing_end
    cld
    ret

// void round_trip_breakpoint(void), void round_trip_page_fault(void), void round_trip_interrupt(void): all
// of round_trip_in is loaded, the instruction traps, all that came back is stored to round_trip_out.
//
//   round_trip_in   the register values; FLAGS without IF or with
//   round_trip_out  the same afterwards
//   round_trip_pad  4, 8 or 12 to run on an ESP that is so far off a multiple of 16
.macro round_trip name:req, instruction:vararg
window_function \name
    .irp    register, ebx, ebp, esi, edi
    pushl   %\register
    .endr
    pushfl
    movl    %esp, round_trip_saved_sp
    andl    $-16, %esp
    subl    round_trip_pad, %esp
    movl    %esp, round_trip_in + IMAGE_SP
    pushl   round_trip_in + IMAGE_FLAGS
    movl    round_trip_in + IMAGE_AX, %eax
    movl    round_trip_in + IMAGE_CX, %ecx
    movl    round_trip_in + IMAGE_DX, %edx
    movl    round_trip_in + IMAGE_BX, %ebx
    movl    round_trip_in + IMAGE_BP, %ebp
    movl    round_trip_in + IMAGE_SI, %esi
    movl    round_trip_in + IMAGE_DI, %edi
    popfl
window_label \name\()_begin
    \instruction
window_label \name\()_end
    movl    %esp, round_trip_out + IMAGE_SP
    pushfl
    popl    round_trip_out + IMAGE_FLAGS
    movl    %eax, round_trip_out + IMAGE_AX
    movl    %ecx, round_trip_out + IMAGE_CX
    movl    %edx, round_trip_out + IMAGE_DX
    movl    %ebx, round_trip_out + IMAGE_BX
    movl    %ebp, round_trip_out + IMAGE_BP
    movl    %esi, round_trip_out + IMAGE_SI
    movl    %edi, round_trip_out + IMAGE_DI
    movl    round_trip_saved_sp, %esp
    popfl
    .irp    register, edi, esi, ebp, ebx
    popl    %\register
    .endr
    ret
.endm

round_trip round_trip_breakpoint, int3
round_trip round_trip_page_fault, movb $0x5a, (%ebx)
round_trip round_trip_interrupt, int $WINDOW_INTERRUPT

// void in_other_segment(uint16_t selector): runs INT3 in another code segment; returns the CS found
// right after it.
window_function in_other_segment
    pushl   4(%esp)
    pushl   $1f
    lret                                // to the other segment
1:  xorl    %eax, %eax
    int3
    movw    %cs, %ax
    pushl   home_code_selector
    pushl   $2f
    lret                                // and home
2:  ret

// void debug_trap(void): a #DB that is no breakpoint, and a place behind it
window_function debug_trap
    int     $1                          // INT1 would be nearer, but QEMU 7.2 does not know it
window_label debug_trap_end
    nop
    ret

// void raise_vector(uint8_t vector): INT n, for every n, with DF set as interrupted code may have it
window_function raise_vector
    movl    4(%esp), %eax
    leal    1f(, %eax, 4), %eax
    std
    notrack call *%eax                  // no ENDBR fits into the table
    cld
    ret
    .balign 4
1:  .set    vector, 0
    .rept   256
    .byte   0xcd, vector                // INT n, in this form for INT3 too
    ret
    nop
    .set    vector, vector + 1
    .endr

// uintptr_t step_once(void): TF is set by the INT3 handler in its frame; counts what runs before the #DB.
window_function step_once
    xorl    %eax, %eax
    int3                                // the handler sets TF in the frame
    incl    %eax                        // this one runs, then #DB: its handler clears TF
window_label step_once_first_done
    incl    %eax
    ret

// uintptr_t with_foreign_gs(uintptr_t selector): the window runs with another GS
// selector; returns the selector found at its end.
window_function with_foreign_gs
    movl    %gs, %edx
    movl    4(%esp), %ecx
    movl    %ecx, %gs
    sled
window_label with_foreign_gs_begin
    .rept   WINDOW_BODY
    nop
    .endr
window_label with_foreign_gs_end
    movl    %gs, %eax
    movl    %edx, %gs
    ret

// The handlers of which only the library's own cost remains.
window_function empty_nmi_handler
    ret

window_function empty_breakpoint_handler
    movl    $1, %eax                    // true: it was ours
    ret

#endif // __i386__

    .section .note.GNU-stack, "", @progbits
