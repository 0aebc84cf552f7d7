// SPDX-License-Identifier: MIT
// What the listings of RETURN_ALONE.md name: CMake cuts them out, and has each include this.

#ifdef __x86_64__
// The caller's IRET: counts, and lands without loading the image, which ring 3 may not.
kernel_iret:
    incl    return_alone_irets(%rip)
    movq    (%rsp), %rax
    movq    24(%rsp), %rsp
    jmp     *%rax
#else
kernel_iret:
    incl    return_alone_irets
    popl    %eax
    addl    $8, %esp
    jmp     *%eax
#endif

// The control: what a kernel has that sends RF to IRET, as if an instruction breakpoint were always armed.
    .globl  return_alone_control
return_alone_control:
    add     $RETURN_WORD, RETURN_SP
    testl   $X86_FLAGS_RF, HARDWARE_FLAGS(RETURN_SP)
    jnz     kernel_iret
    return_alone iret=kernel_iret, shadowed=control_shadowed

// The control for breakpoints: never looks at DR7.
    .globl  return_alone_without_dr7
return_alone_without_dr7:
    add     $RETURN_WORD, RETURN_SP
    return_alone iret=kernel_iret, shadowed=without_dr7_shadowed, debug_control=none

// The frame of an NMI at the instruction in the shadow, and elsewhere: arg 1 is the frame's first word.
    .globl  return_alone_rewind, kernel_page_fault_shadowed
return_alone_rewind:
#ifdef __x86_64__
    xchgq   %rdi, %rsp
    leave_interrupt_shadow_alone kernel_page_fault_shadowed
    xchgq   %rdi, %rsp
#else
    movl    4(%esp), %ecx
    xchgl   %ecx, %esp
    leave_interrupt_shadow_alone kernel_page_fault_shadowed
    xchgl   %ecx, %esp
#endif
    ret

    .bss
    .balign 4
    .globl  return_alone_irets
return_alone_irets:
    .skip   4
    .section .note.GNU-stack, "", @progbits
