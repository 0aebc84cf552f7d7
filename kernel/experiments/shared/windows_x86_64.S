// SPDX-License-Identifier: MIT
// x86-64: the code windows of the experiments. The twin of windows_x86_32.S: same order, same labels.
//
// Each window is a label pair around the instruction that starts the path under test. The NOPs in front
// keep it away from the arming of the one-shot, whose shortest delay they take up.
#ifdef __x86_64__

#include "kernel/experiments/shared/windows.h"
#include "nmisafe/x86/flags.h"
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
    sled
window_label window_page_fault_begin
    movb    $0x5a, (%rdi)
window_label window_page_fault_end
    ret

// void window_nmi_*(volatile uint32_t* command_register, uint32_t command): one for each path, so that
// their walks can be told apart in QEMU's log
.macro window_nmi name:req
window_function \name
    sled
    jmp     1f                          // a block begins with the window: QEMU logs blocks
1:
window_label \name\()_begin
    movl    %esi, (%rdi)                // the local APIC takes the command, the NMI comes next
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
    sled
    std                                 // the entry must not rely on DF=0
window_label window_nothing_begin
1:  nop
    subq    $1, %rdi
    jnz     1b
window_label window_nothing_end
    cld
    ret

// void round_trip_breakpoint(void), void round_trip_page_fault(void), void round_trip_interrupt(void): all
// of round_trip_in is loaded, the instruction traps, all that came back is stored to round_trip_out.
//
//   round_trip_in   the register values; FLAGS without IF or with
//   round_trip_out  the same afterwards
//   round_trip_pad  8 to run on an RSP that is 8 off a multiple of 16
.macro round_trip name:req, instruction:vararg
window_function \name
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    pushfq
    movq    %rsp, round_trip_saved_sp(%rip)
    andq    $-16, %rsp
    subq    round_trip_pad(%rip), %rsp
    movq    %rsp, round_trip_in + IMAGE_SP(%rip)
    pushq   round_trip_in + IMAGE_FLAGS(%rip)
    movq    round_trip_in + IMAGE_AX(%rip), %rax
    movq    round_trip_in + IMAGE_CX(%rip), %rcx
    movq    round_trip_in + IMAGE_DX(%rip), %rdx
    movq    round_trip_in + IMAGE_BX(%rip), %rbx
    movq    round_trip_in + IMAGE_BP(%rip), %rbp
    movq    round_trip_in + IMAGE_SI(%rip), %rsi
    movq    round_trip_in + IMAGE_DI(%rip), %rdi
    movq    round_trip_in + IMAGE_R8 + 0(%rip), %r8
    movq    round_trip_in + IMAGE_R8 + 8(%rip), %r9
    movq    round_trip_in + IMAGE_R8 + 16(%rip), %r10
    movq    round_trip_in + IMAGE_R8 + 24(%rip), %r11
    movq    round_trip_in + IMAGE_R8 + 32(%rip), %r12
    movq    round_trip_in + IMAGE_R8 + 40(%rip), %r13
    movq    round_trip_in + IMAGE_R8 + 48(%rip), %r14
    movq    round_trip_in + IMAGE_R8 + 56(%rip), %r15
    popfq
window_label \name\()_begin
    \instruction
window_label \name\()_end
    movq    %rsp, round_trip_out + IMAGE_SP(%rip)
    pushfq
    popq    round_trip_out + IMAGE_FLAGS(%rip)
    movq    %rax, round_trip_out + IMAGE_AX(%rip)
    movq    %rcx, round_trip_out + IMAGE_CX(%rip)
    movq    %rdx, round_trip_out + IMAGE_DX(%rip)
    movq    %rbx, round_trip_out + IMAGE_BX(%rip)
    movq    %rbp, round_trip_out + IMAGE_BP(%rip)
    movq    %rsi, round_trip_out + IMAGE_SI(%rip)
    movq    %rdi, round_trip_out + IMAGE_DI(%rip)
    movq    %r8, round_trip_out + IMAGE_R8 + 0(%rip)
    movq    %r9, round_trip_out + IMAGE_R8 + 8(%rip)
    movq    %r10, round_trip_out + IMAGE_R8 + 16(%rip)
    movq    %r11, round_trip_out + IMAGE_R8 + 24(%rip)
    movq    %r12, round_trip_out + IMAGE_R8 + 32(%rip)
    movq    %r13, round_trip_out + IMAGE_R8 + 40(%rip)
    movq    %r14, round_trip_out + IMAGE_R8 + 48(%rip)
    movq    %r15, round_trip_out + IMAGE_R8 + 56(%rip)
    movq    round_trip_saved_sp(%rip), %rsp
    popfq
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret
.endm

round_trip round_trip_breakpoint, int3
round_trip round_trip_page_fault, movb $0x5a, (%rbx)
round_trip round_trip_interrupt, int $WINDOW_INTERRUPT

// Pops the far pointer at RSP and goes there: by a far return. On a shadow stack nothing lies for that one;
// but the CPUs that have one have the far jump with 64 bits.
.macro go_far
#ifdef NMISAFE_SHADOW_STACK
    .byte   0x48                        // REX.W, which clang does not write
    ljmpl   *(%rsp)
#else
    lretq
#endif
.endm
.macro arrive_far
    indirect_target
#ifdef NMISAFE_SHADOW_STACK
    leaq    16(%rsp), %rsp
#endif
.endm

// void in_other_segment(uint16_t selector): runs INT3 in another code segment; returns the CS found
// right after it.
window_function in_other_segment
    pushq   %rdi
    leaq    1f(%rip), %rax
    pushq   %rax
    go_far                              // to the other segment
1:  arrive_far
    xorl    %eax, %eax
    int3
    movw    %cs, %ax
    pushq   home_code_selector(%rip)
    leaq    2f(%rip), %rcx
    pushq   %rcx
    go_far                              // and home
2:  arrive_far
    ret

// void debug_trap(void): a #DB that is no breakpoint, and a place behind it
window_function debug_trap
    int     $1                          // INT1 would be nearer, but QEMU 7.2 does not know it
window_label debug_trap_end
    nop
    ret

// void raise_vector(uint8_t vector): INT n, for every n, with DF set as interrupted code may have it
window_function raise_vector
    andl    $255, %edi
    leaq    1f(%rip), %rax
    leaq    (%rax, %rdi, 4), %rax
    std
    notrack call *%rax                  // no ENDBR fits into the table
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

// uintptr_t with_foreign_gs(uint64_t gs_base): the window runs with another GS base;
// returns the GS base found at its end.
window_function with_foreign_gs
    movl    $X86_MSR_GS_BASE, %ecx
    rdmsr
    movl    %eax, %r9d
    movl    %edx, %r10d
    movl    %edi, %eax
    shrq    $32, %rdi
    movl    %edi, %edx
    wrmsr
    sled
window_label with_foreign_gs_begin
    .rept   WINDOW_BODY
    nop
    .endr
window_label with_foreign_gs_end
    rdmsr
    shlq    $32, %rdx
    orq     %rdx, %rax
    movq    %rax, %r11
    movl    %r9d, %eax
    movl    %r10d, %edx
    wrmsr
    movq    %r11, %rax
    ret

// The handlers of which only the library's own cost remains.
window_function empty_nmi_handler
    ret

window_function empty_breakpoint_handler
    movl    $1, %eax                    // true: it was ours
    ret

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
