// SPDX-License-Identifier: MIT
// Harness of the return tests: loads every register, enters a sequence as entry code would, and stores
// every register where the sequence lands. Twin: return_fidelity_x86_32.S.
//
// The memory operands are aligned words and nothing but MOV runs before the flags are stored: an
// image with AC=1 must not fault, and no flag may change. No PUSHF runs while a sequence is
// single-stepped: it would show the tracer's TF.
#define NMISAFE_RETURN_CFI
#include "nmisafe/trap/return_fidelity_layout.h"
#include "nmisafe/trap/return_x86_64.h"

#if defined(__x86_64__)

#define WORD 8
#define BEFORE(index) return_fidelity_before + (index) * WORD(%rip)
#define AFTER(index) return_fidelity_after + (index) * WORD(%rip)

// A sequence under test. RSP -> saved RCX, saved RAX above it, the hardware frame at \frame(%rsp).
.macro .sequence name, frame
    .globl  return_fidelity_\name
    .type   return_fidelity_\name, @function
    .balign 16
return_fidelity_\name:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, \frame + 40
    .cfi_offset %rip, -40
    .cfi_offset %rsp, -16
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
    popq    %rcx
    popq    %rax
    .globl  return_fidelity_iret_last
return_fidelity_iret_last:
    iretq
.end_sequence iret

// The control: the order of LTTng's sequence of 2010. It switches stacks first, and then words still
// needed lie below RSP: right as long as nothing pushes.
.sequence control, STATE_FRAME_NEXT
    movq    8(%rsp), %rax
    movq    %rsp, %rcx
    movq    STATE_FRAME_NEXT + HARDWARE_SP(%rsp), %rsp
    pushq   STATE_FRAME_NEXT + HARDWARE_IP(%rcx)
    pushq   STATE_FRAME_NEXT + HARDWARE_FLAGS(%rcx)
    movq    (%rcx), %rcx
    popfq
    .globl  return_fidelity_control_last
return_fidelity_control_last:
    ret
.end_sequence control

// void return_fidelity_run(const void* entry): enters `entry` in the state return_fidelity_before,
// returns after the landing with return_fidelity_after filled in.
    .globl  return_fidelity_run
    .type   return_fidelity_run, @function
return_fidelity_run:
    .cfi_startproc
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    movq    %rsp, host_sp(%rip)
    movq    %rdi, entry(%rip)
    pushq   BEFORE(STATE_FLAGS)
    popfq
    movq    BEFORE(STATE_AX), %rax
    movq    BEFORE(STATE_CX), %rcx
    movq    BEFORE(STATE_DX), %rdx
    movq    BEFORE(STATE_BX), %rbx
    movq    BEFORE(STATE_BP), %rbp
    movq    BEFORE(STATE_SI), %rsi
    movq    BEFORE(STATE_DI), %rdi
    .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
    movq    BEFORE(\number), %r\number
    .endr
    movq    BEFORE(STATE_SP), %rsp
    jmp     *entry(%rip)
    .cfi_endproc
    .size   return_fidelity_run, . - return_fidelity_run

// Entry of a traced run: stops for the tracer, every register as the sequence will find it.
    .globl  return_fidelity_traced
return_fidelity_traced:
    int3
    jmp     *return_fidelity_sequence(%rip)

    ud2                                 // one byte short of the target must not pass
    .globl  return_fidelity_landing
return_fidelity_landing:
    movq    %rax, AFTER(STATE_AX)
    movq    %rcx, AFTER(STATE_CX)
    movq    %rdx, AFTER(STATE_DX)
    movq    %rbx, AFTER(STATE_BX)
    movq    %rsp, AFTER(STATE_SP)
    movq    %rbp, AFTER(STATE_BP)
    movq    %rsi, AFTER(STATE_SI)
    movq    %rdi, AFTER(STATE_DI)
    .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
    movq    %r\number, AFTER(\number)
    .endr
    movl    %cs, %eax
    movq    %rax, AFTER(STATE_CS)
    movl    %ss, %eax
    movq    %rax, AFTER(STATE_SS)
    movq    host_sp(%rip), %rsp
    pushfq
    popq    AFTER(STATE_FLAGS)
    pushq   $X86_FLAGS_FIXED
    popfq                               // DF, NT and AC as the ABI wants them
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret

// void return_fidelity_read_segments(): CS and SS of this program into return_fidelity_before.
    .globl  return_fidelity_read_segments
return_fidelity_read_segments:
    movl    %cs, %eax
    movq    %rax, BEFORE(STATE_CS)
    movl    %ss, %eax
    movq    %rax, BEFORE(STATE_SS)
    ret

    .bss
    .balign 16
    .globl  return_fidelity_before, return_fidelity_after, return_fidelity_sequence
return_fidelity_before:
    .skip   STATE_WORDS * WORD
return_fidelity_after:
    .skip   STATE_WORDS * WORD
return_fidelity_sequence:
    .skip   WORD
host_sp:
    .skip   WORD
entry:
    .skip   WORD
#endif
    .section .note.GNU-stack, "", @progbits
