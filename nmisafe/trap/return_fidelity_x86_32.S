// SPDX-License-Identifier: MIT
// Harness of the return tests: loads every register, enters a sequence as entry code would, and stores
// every register where the sequence lands. Twin: return_fidelity_x86_64.S, which says more.
#define NMISAFE_RETURN_CFI
#include "nmisafe/trap/return_fidelity_layout.h"
#include "nmisafe/trap/return_x86_32.h"

#if defined(__i386__)

#define WORD 4
#define BEFORE(index) return_fidelity_before + (index) * WORD
#define AFTER(index) return_fidelity_after + (index) * WORD

// A sequence under test. ESP + \frame -> the hardware frame.
.macro .sequence name, frame
    .globl  return_fidelity_\name
    .type   return_fidelity_\name, @function
    .balign 16
return_fidelity_\name:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %esp, \frame + 12
    .cfi_offset %eip, -12
.endm

.macro .end_sequence name
    .cfi_endproc
    .globl  return_fidelity_\name\()_end
return_fidelity_\name\()_end:
    .size   return_fidelity_\name, . - return_fidelity_\name
.endm

    .text
.sequence near, STATE_FRAME_NEXT
    nmi_safe_return_near frame=STATE_FRAME_NEXT, shadowed=return_fidelity_near_last
.end_sequence near

.sequence near_deep, STATE_FRAME_DEEP
    nmi_safe_return_near frame=STATE_FRAME_DEEP, shadowed=return_fidelity_near_deep_last
.end_sequence near_deep

.sequence near_sti, STATE_FRAME_DEEP
    nmi_safe_return_near frame=STATE_FRAME_DEEP, interrupts=1, shadowed=return_fidelity_near_sti_last
.end_sequence near_sti

.sequence far, STATE_FRAME_NEXT
    nmi_safe_return_far frame=STATE_FRAME_NEXT, shadowed=return_fidelity_far_last
.end_sequence far

.sequence far_deep, STATE_FRAME_DEEP
    nmi_safe_return_far frame=STATE_FRAME_DEEP, shadowed=return_fidelity_far_deep_last
.end_sequence far_deep

.sequence far_sti, STATE_FRAME_DEEP
    nmi_safe_return_far frame=STATE_FRAME_DEEP, interrupts=1, shadowed=return_fidelity_far_sti_last
.end_sequence far_sti

// The harness's own reference.
.sequence iret, STATE_FRAME_NEXT
    .globl  return_fidelity_iret_last
return_fidelity_iret_last:
    iretl
.end_sequence iret

// The control: drops the frame first, and then words still needed lie below ESP: right as long as
// nothing pushes.
.sequence control, STATE_FRAME_NEXT
    leal    12(%esp), %esp
    pushl   -12 + HARDWARE_FLAGS(%esp)
    popfl
    .globl  return_fidelity_control_last
return_fidelity_control_last:
    jmp     *-12 + HARDWARE_IP(%esp)
.end_sequence control

// void return_fidelity_run(const void* entry): enters `entry` in the state return_fidelity_before,
// returns after the landing with return_fidelity_after filled in.
    .globl  return_fidelity_run
    .type   return_fidelity_run, @function
return_fidelity_run:
    .cfi_startproc
    movl    4(%esp), %eax
    .irp    register, ebx, ebp, esi, edi
    pushl   %\register
    .endr
    movl    %esp, host_sp
    movl    %eax, entry
    pushl   BEFORE(STATE_FLAGS)
    popfl                               // with TF=1 in a stepped run: traps from the first MOV on
    movl    BEFORE(STATE_AX), %eax
    movl    BEFORE(STATE_CX), %ecx
    movl    BEFORE(STATE_DX), %edx
    movl    BEFORE(STATE_BX), %ebx
    movl    BEFORE(STATE_BP), %ebp
    movl    BEFORE(STATE_SI), %esi
    movl    BEFORE(STATE_DI), %edi
    movl    BEFORE(STATE_SP), %esp
    jmp     *entry
    .cfi_endproc
    .size   return_fidelity_run, . - return_fidelity_run

    ud2                                 // one byte short of the target must not pass
    .globl  return_fidelity_landing
return_fidelity_landing:
    movl    %eax, AFTER(STATE_AX)
    movl    %ecx, AFTER(STATE_CX)
    movl    %edx, AFTER(STATE_DX)
    movl    %ebx, AFTER(STATE_BX)
    movl    %esp, AFTER(STATE_SP)
    movl    %ebp, AFTER(STATE_BP)
    movl    %esi, AFTER(STATE_SI)
    movl    %edi, AFTER(STATE_DI)
    movl    %cs, %eax
    movl    %eax, AFTER(STATE_CS)
    movl    %ss, %eax
    movl    %eax, AFTER(STATE_SS)
    movl    host_sp, %esp
    pushfl
    popl    AFTER(STATE_FLAGS)
    pushl   $X86_FLAGS_FIXED
    popfl                               // DF, NT and AC as the ABI wants them
    .irp    register, edi, esi, ebp, ebx
    popl    %\register
    .endr
    ret

// void return_fidelity_read_segments(): CS and SS of this program into return_fidelity_before.
    .globl  return_fidelity_read_segments
return_fidelity_read_segments:
    movl    %cs, %eax
    movl    %eax, BEFORE(STATE_CS)
    movl    %ss, %eax
    movl    %eax, BEFORE(STATE_SS)
    ret

    .bss
    .balign 16
    .globl  return_fidelity_before, return_fidelity_after
return_fidelity_before:
    .skip   STATE_WORDS * WORD
return_fidelity_after:
    .skip   STATE_WORDS * WORD
host_sp:
    .skip   WORD
entry:
    .skip   WORD
#endif
    .section .note.GNU-stack, "", @progbits
