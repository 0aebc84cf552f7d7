// SPDX-License-Identifier: MIT
// The return alone, for an entry path of your own: what stands here takes the place of its IRET, decides as
// plan_return() in dispatch.cpp does, and goes to your IRET otherwise. What else is yours to see to, and how
// to check it: RETURN_ALONE.md.
//
// All macros are AT&T text. Where your own text is not, say so: `syntax=intel` where .intel_syntax noprefix is in
// force, `altmacro=1` under .altmacro; both are in force again behind the macro. Unwind information only with
// NMISAFE_RETURN_CFI (return_common.h).
#ifndef NMISAFE_TRAP_RETURN_ALONE_H
#define NMISAFE_TRAP_RETURN_ALONE_H

#ifdef __x86_64__
#include "nmisafe/trap/return_x86_64.h"
#else
#include "nmisafe/trap/return_x86_32.h"
#endif

#ifdef __ASSEMBLER__

#ifdef __x86_64__
#define ALONE_AX %rax
#define ALONE_CX %rcx
#define ALONE_SAVED 16 // RAX and RCX, which the return takes over
#else
#define ALONE_AX %eax
#define ALONE_CX %ecx
#define ALONE_SAVED 4
#endif

// decided_flags of return_plan.hpp, as an immediate that is sign-extended.
#define ALONE_DECIDED (~X86_FLAGS_KNOWN | X86_FLAGS_TF | X86_FLAGS_NT | X86_FLAGS_VM | X86_FLAGS_FIXED)

// The names of parameters are such as stand nowhere else in the bodies: .altmacro replaces them without the
// backslash.

.macro end_alone its_syntax, its_altmacro
    .ifc \its_syntax,intel
    .intel_syntax noprefix
    .endif
    .if \its_altmacro
    .altmacro
    .endif
.endm

// The returns of x86-64 take the saved RAX and RCX over, those of x86-32 need no register.
#ifdef __x86_64__
#define ALONE_BELOW 16
.macro restore_alone
.endm
#else
#define ALONE_BELOW 0
.macro restore_alone
    pop     ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset -RETURN_WORD)
.endm
#endif

/// Returns from an exception or interrupt without IRET if the image is plain, else goes to `iret` with
/// registers and stack as they were. Every register holds the interrupted code's value, the frame that the
/// CPU pushed is at `frame` bytes above SP, error code and vector below it or not.
///
/// `shadowed`: a name for the instruction in the shadow of STI, for leave_interrupt_shadow_alone.
/// `form`: near or far, as in the README's table of policies.
/// `debug_control`: where to look whether an instruction breakpoint is armed, if RF is set in the image:
/// `dr7`, the register; an operand in memory with what DR7 is now, not relative to SP, which has moved there; `none`,
/// where nobody ever arms one.
///
/// Not for the NMI's own return. @context any, with IF=0
.macro return_alone iret:req, shadowed:req, frame=0, form=near, debug_control=dr7, syntax=att, altmacro=0
    .att_syntax prefix
    .noaltmacro
    decide_alone \iret, \shadowed, \frame, \form, \debug_control
    end_alone \syntax, \altmacro
.endm

.macro decide_alone its_iret, its_shadowed, its_frame, its_form, its_control
    push    ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
#ifdef __x86_64__
    push    ALONE_CX
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
#endif
    // One test for all bits that POPF cannot restore or no CPU pushes, and one for the segment.
    mov     ALONE_SAVED + \its_frame + HARDWARE_FLAGS(RETURN_SP), ALONE_AX
    xor     $X86_FLAGS_FIXED, ALONE_AX
    test    $ALONE_DECIDED, ALONE_AX
    jnz     .Lnot_plain\@
    mov     %cs, %eax
    cmp     %ax, ALONE_SAVED + \its_frame + HARDWARE_CS(RETURN_SP)
    jne     .Lnot_plain\@
    .ifnc \its_control,none
    // RF matters only where an instruction breakpoint is armed: every page fault's image has it.
    testl   $X86_FLAGS_RF, ALONE_SAVED + \its_frame + HARDWARE_FLAGS(RETURN_SP)
    jz      .Lplain\@
    .ifc \its_control,dr7
    mov     %dr7, ALONE_AX
    .else
    mov     \its_control, ALONE_AX
    .endif
    test    $X86_DR7_ENABLE_ALL, %al
    jz      .Lplain\@
    .irp    number, 0, 1, 2, 3
    test    $3 << (2 * \number), %eax
    jz      .Lbreakpoint\@_\number
    test    $3 << (16 + 4 * \number), %eax
    jz      .Lnot_plain\@               // enabled, and on execution
.Lbreakpoint\@_\number:
    .endr
    .endif
.Lplain\@:
    testl   $X86_FLAGS_IF, ALONE_SAVED + \its_frame + HARDWARE_FLAGS(RETURN_SP)
    jnz     .Linterrupts\@
    RETURN_CFI(.cfi_remember_state)
    restore_alone
    nmi_safe_return_\its_form frame=ALONE_BELOW + \its_frame
    RETURN_CFI(.cfi_restore_state)
.Linterrupts\@:
    RETURN_CFI(.cfi_remember_state)
    restore_alone
    nmi_safe_return_\its_form frame=ALONE_BELOW + \its_frame, interrupts=1, shadowed=\its_shadowed
    RETURN_CFI(.cfi_restore_state)
.Lnot_plain\@:
#ifdef __x86_64__
    pop     ALONE_CX
#endif
    pop     ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset -ALONE_SAVED)
    jmp     \its_iret
.endm

/// In the NMI, #DB and #MC, before their IRET, once for each `shadowed` above: takes a frame in the shadow of the
/// return's STI back to the STI (shadow.hpp says why). Flags are free, `frame` as above.
.macro leave_interrupt_shadow_alone shadowed:req, frame=0, syntax=att, altmacro=0
    .att_syntax prefix
    .noaltmacro
    rewind_alone \shadowed, \frame
    end_alone \syntax, \altmacro
.endm

.macro rewind_alone its_shadowed, its_frame
    push    ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
#ifdef __x86_64__
    lea     \its_shadowed(%rip), ALONE_AX
#else
    mov     $\its_shadowed, ALONE_AX
#endif
    cmp     ALONE_AX, RETURN_WORD + \its_frame + HARDWARE_IP(RETURN_SP)
    jne     .Lelsewhere\@
    testb   $X86_RPL_MASK, RETURN_WORD + \its_frame + HARDWARE_CS(RETURN_SP)
    jnz     .Lelsewhere\@               // user mode may jump to any address
    dec     ALONE_AX                    // STI has one byte
    mov     ALONE_AX, RETURN_WORD + \its_frame + HARDWARE_IP(RETURN_SP)
    andl    $~X86_FLAGS_IF, RETURN_WORD + \its_frame + HARDWARE_FLAGS(RETURN_SP)
.Lelsewhere\@:
    pop     ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset -RETURN_WORD)
.endm

/// In the NMI's entry, before anything that may fault: pushes two words, CR2 and DR7, and disarms the
/// breakpoints. Takes AX and the flags.
.macro save_cr2_and_dr7_alone syntax=att, altmacro=0
    .att_syntax prefix
    .noaltmacro
    save_registers_alone
    end_alone \syntax, \altmacro
.endm

.macro save_registers_alone
    mov     %cr2, ALONE_AX
    push    ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
    mov     %dr7, ALONE_AX
    push    ALONE_AX
    RETURN_CFI(.cfi_adjust_cfa_offset RETURN_WORD)
    test    $X86_DR7_ENABLE_ALL, %al
    jz      .Ldisarmed\@
    mov     $X86_DR7_DISARMED, %eax
    mov     ALONE_AX, %dr7
.Ldisarmed\@:
.endm

/// In the NMI's exit, behind all that may fault: pops the two words and puts back what has changed, DR7 last,
/// because from there on a breakpoint may be hit. Takes AX and the flags. Where nobody arms breakpoints it writes none.
.macro restore_cr2_and_dr7_alone syntax=att, altmacro=0
    .att_syntax prefix
    .noaltmacro
    restore_registers_alone
    end_alone \syntax, \altmacro
.endm

.macro restore_registers_alone
    mov     %cr2, ALONE_AX
    cmp     RETURN_WORD(RETURN_SP), ALONE_AX
    je      .Lsame_address\@
    mov     RETURN_WORD(RETURN_SP), ALONE_AX
    mov     ALONE_AX, %cr2
.Lsame_address\@:
    mov     %dr7, ALONE_AX
    cmp     (RETURN_SP), ALONE_AX
    je      .Lsame_control\@
    mov     (RETURN_SP), ALONE_AX
    mov     ALONE_AX, %dr7
.Lsame_control\@:
    lea     2 * RETURN_WORD(RETURN_SP), RETURN_SP
    RETURN_CFI(.cfi_adjust_cfa_offset -2 * RETURN_WORD)
.endm

#endif // __ASSEMBLER__
#endif
