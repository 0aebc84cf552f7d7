// SPDX-License-Identifier: MIT
// x86-64: the NMI, from the CPU's delivery to C++ and back, and the latch: an NMI that comes while another is
// in progress is remembered and run afterwards. The twin of nmi_x86_32.S. [intel/vol3 6.7, 6.14]
//
// An NMI may interrupt anything, also another trap's entry or return and any state of GS, so: its own IST stack,
// per-CPU data found from that stack and not from GS, and nothing that can trap before the kernel's GS base is
// in place. Nothing here may be patched or probed, no memory may be lazily mapped.
//
// NMIs are blocked until the next IRET, but that need not be the one at the end here: an image that is not plain
// takes IRET, one that faults unblocks too, and so may RSM. The CPU then writes a nested NMI's frame where the
// IST entry points, before any instruction of this file has run. So the very first instruction lowers the IST
// entry; nmi_block.h draws what lies where.
//
//   P: the IST entry when no NMI is in progress, and the address of the CPU's nmi_block
//   level 0: the NMI in progress, frame at P; level 1: one nested in it, frame at P - NMI_STRIDE; level 2
//
// All is decided by the frame that the CPU pushed and by the level in the head that it pushed it below. No
// register of the interrupted code is believed, and user mode can forge neither.
//
// What stays open, each only to an NMI that comes at that very boundary although NMIs are blocked there (after
// an SMI, on a CPU whose RSM unblocks them):
//   - the boundary before the first instruction: the frame at P is overwritten.
//   - level 1: the boundaries before its first four instructions; level 2: before its first seven. By the entry of
//     the module user no more, but for its ENDBR.
// It is noticed, and stops the machine by name.
// An NMI may also interrupt the handler of an #MC or of a step that has interrupted one of the boundaries below:
// nmi_boundary.hpp makes good what the RIP then does not say.
//
// With shadow stacks (shadow_stack_x86_64.h) the levels have some of their own, upwards from level 0's, by the
// interrupt SSP table in the block. Open at level 0 are then the boundaries up to the instruction that moves the
// table on, and those of a nested one's exit by IRET: the CPU makes a #GP of such an NMI, on the current stack.
#ifdef __x86_64__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/nmi_shadow_stack_x86_64.h"
#include "nmisafe/trap/nmi_tables_x86_64.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

    .section nmisafe_trap_text, "ax", @progbits
    .cfi_sections .debug_frame

#define HARDWARE_FRAME 40                   // what the CPU pushes
#define AT_HEAD(offset) HARDWARE_FRAME + (offset)(%rsp) // before anything is pushed
#define AT_FRAME(offset) FRAME_SIZE + (offset)(%rsp)    // RSP -> trap_frame
#define AT_STACK(offset) NMI_NESTED_SIZE + (offset)(%rsp) // RSP as on the call into C++
#define RETURN_FRAME_END (NMI_BLOCK_RETURN_FRAME + HARDWARE_FRAME)

trap_code nmisafe_trap_nmi_entry
    .cfi_hardware_frame 0
    indirect_target
    subq    $NMI_STRIDE, AT_HEAD(NMI_BLOCK_IST)
// From here on a further NMI's frame lies below this one. An entry of another module that has executed the
// same first instruction goes on here, if the NMI interrupted the kernel.
    .globl  nmisafe_trap_nmi_entered
nmisafe_trap_nmi_entered:
    lower_shadow_stack AT_HEAD(NMI_BLOCK_SSP)
    .globl  nmisafe_trap_nmi_lowered
nmisafe_trap_nmi_lowered:
    cmpl    $0, AT_HEAD(NMI_BLOCK_LEVEL)
    jne     nmisafe_trap_nmi_nested
    .cfi_remember_state
    .globl  nmisafe_trap_nmi_outer
nmisafe_trap_nmi_outer:
    pushq   $0
    .cfi_adjust_cfa_offset 8
    pushq   $X86_VECTOR_NMI
    .cfi_adjust_cfa_offset 8
    push_registers
    cld
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed(%rip)
    jnz     .Lwithout_latch
#endif
    movq    FRAME_IP(%rsp), %rax
    leaq    nmisafe_trap_nmi_entry(%rip), %rcx
    subq    %rcx, %rax
    cmpq    $nmisafe_trap_nmi_end - nmisafe_trap_nmi_entry, %rax
    jb      .Linterrupted_here
.Lframe_is_whole:
    keep_interrupted_ssp AT_FRAME(NMI_BLOCK_INTERRUPTED_SSP)
#ifdef NMISAFE_FSGSBASE
    cmpl    $0, AT_FRAME(NMI_BLOCK_HAS_FSGSBASE)
    jne     .Lread_gs_base
#endif
    movl    $X86_MSR_GS_BASE, %ecx
    rdmsr
    cmpl    %eax, AT_FRAME(NMI_BLOCK_GS_BASE)
    jne     .Lforeign_gs
    cmpl    %edx, AT_FRAME(NMI_BLOCK_GS_BASE + 4)
    jne     .Lforeign_gs
.Lgs_is_own:
    movl    $0, AT_FRAME(NMI_BLOCK_HAS_FOREIGN_GS)
.Lgs_is_kernel:
    load_kernel_tables_in_nmi
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    leaq    FRAME_SIZE - NMI_NESTED_SIZE(%rsp), %rsp // below the levels
    .cfi_def_cfa_offset NMI_NESTED_SIZE
.Lrun:
    call    nmisafe_trap_nmi
    .globl  nmisafe_trap_nmi_exit
nmisafe_trap_nmi_exit:
    leaq    NMI_NESTED_SIZE + RETURN_FRAME_END(%rsp), %rsp
    .cfi_def_cfa_offset -RETURN_FRAME_END
    cmpl    $0, NMI_BLOCK_PENDING - RETURN_FRAME_END(%rsp)

// An NMI from here to the ADDQ finds no more test of `pending`, so it goes to the redo itself: the trap_frame is
// whole until then, also below RSP. The only event that can write below RSP here is an #MC, by its return: up
// to 64 bytes, the scratch words.
    .globl  nmisafe_trap_nmi_window
nmisafe_trap_nmi_window:
    jne     .Lredo_at_exit
    cmpl    $0, NMI_BLOCK_HAS_FOREIGN_GS - RETURN_FRAME_END(%rsp)
    je      .Lgs_is_back
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_GS, nmisafe_trap_removed(%rip)
    jnz     .Lgs_is_back
#endif
    movl    $X86_MSR_GS_BASE, %ecx
    movl    NMI_BLOCK_FOREIGN_GS - RETURN_FRAME_END(%rsp), %eax
    movl    NMI_BLOCK_FOREIGN_GS + 4 - RETURN_FRAME_END(%rsp), %edx
    wrmsr
.Lgs_is_back:
    put_back_tables -RETURN_FRAME_END
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_LATCH, nmisafe_trap_removed(%rip)
    jnz     .Lreturn_without_latch
#endif
    .set    frame_in_exit, -RETURN_FRAME_END - FRAME_SIZE
    .set    block_in_exit, -RETURN_FRAME_END
    free_shadow_stack frame_in_exit, block_in_exit
    .rept   HARDWARE_FRAME / 8
    pushq   -8 - RETURN_FRAME_END(%rsp) // SS, RSP, RFLAGS, CS, RIP: both sides go down together
    .cfi_adjust_cfa_offset 8
    .endr
    .set    offset, -NMI_BLOCK_RETURN_FRAME - FRAME_SIZE
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rbx, rcx, rax
    movq    offset(%rsp), %\register
    .set    offset, offset + 8
    .endr
    .cfi_hardware_frame 0               // the copy, with the interrupted registers
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rbx, rcx, rax
    .cfi_restore %\register
    .endr
    .globl  nmisafe_trap_nmi_raise
nmisafe_trap_nmi_raise:
    addq    $NMI_STRIDE, NMI_BLOCK_IST - NMI_BLOCK_RETURN_FRAME(%rsp)
    .globl  nmisafe_trap_nmi_iret
nmisafe_trap_nmi_iret:
    iretq                               // why an IRET: the one that unblocks NMIs, at the very end

// Runs the handler again, with the same frame. RSP as on the call, IST lowered, GS the kernel's or not.
.Lredo_at_exit:
    .cfi_def_cfa %rsp, -RETURN_FRAME_END
    leaq    -RETURN_FRAME_END - NMI_NESTED_SIZE(%rsp), %rsp
    .cfi_def_cfa_offset NMI_NESTED_SIZE
    .globl  nmisafe_trap_nmi_redo
nmisafe_trap_nmi_redo:
    movl    $0, AT_STACK(NMI_BLOCK_PENDING)
    load_kernel_tables_again %rsp, NMI_NESTED_SIZE
    return_to_shadow_stack NMI_NESTED_SIZE
    cmpl    $0, AT_STACK(NMI_BLOCK_HAS_FOREIGN_GS)
    je      .Lrun_again
    movl    $X86_MSR_GS_BASE, %ecx
    movl    AT_STACK(NMI_BLOCK_GS_BASE), %eax
    movl    AT_STACK(NMI_BLOCK_GS_BASE + 4), %edx
    wrmsr
.Lrun_again:
    leaq    NMI_NESTED_SIZE - FRAME_SIZE(%rsp), %rdi // arg 1: trap_frame*
    jmp     .Lrun

#ifdef NMISAFE_FSGSBASE
.Lread_gs_base:
    .cfi_hardware_frame FRAME_IP
    rdgsbase %rax
    cmpq    %rax, AT_FRAME(NMI_BLOCK_GS_BASE)
    je      .Lgs_is_own
    movq    %rax, AT_FRAME(NMI_BLOCK_FOREIGN_GS)
    movl    $1, AT_FRAME(NMI_BLOCK_HAS_FOREIGN_GS)
    movq    AT_FRAME(NMI_BLOCK_GS_BASE), %rax
    wrgsbase %rax                       // it is put back by the MSR, as without: that is rare
    jmp     .Lgs_is_kernel
#endif
.Lforeign_gs:
    .cfi_hardware_frame FRAME_IP
    movl    %eax, AT_FRAME(NMI_BLOCK_FOREIGN_GS)
    movl    %edx, AT_FRAME(NMI_BLOCK_FOREIGN_GS + 4)
    movl    $1, AT_FRAME(NMI_BLOCK_HAS_FOREIGN_GS)
    movl    AT_FRAME(NMI_BLOCK_GS_BASE), %eax
    movl    AT_FRAME(NMI_BLOCK_GS_BASE + 4), %edx
    wrmsr
    jmp     .Lgs_is_kernel

// Level 0, and the interrupted RIP is in this file. Either it is the last IRET, whose frame is then this NMI's as
// well: all registers are the interrupted code's already. Or the IST entry had not been lowered yet.
.Linterrupted_here:
    testb   $X86_RPL_MASK, FRAME_CS(%rsp)
    jnz     .Lframe_is_whole            // user mode's addresses say nothing
    cmpq    $nmisafe_trap_nmi_iret - nmisafe_trap_nmi_entry, %rax
    jne     .Lstop
    .irp    offset, 0, 8, 16, 24, 32
    movq    AT_FRAME(NMI_BLOCK_RETURN_FRAME + \offset), %rax
    movq    %rax, FRAME_IP + \offset(%rsp)
    .endr
    renew_interrupted_ssp AT_FRAME(NMI_BLOCK_INTERRUPTED_SSP)
    jmp     .Lframe_is_whole

#ifdef NMISAFE_TRAP_CONTROLS
// The control: the next NMI's frame lies over this one.
.Lwithout_latch:
    addq    $NMI_STRIDE, AT_FRAME(NMI_BLOCK_IST)
#ifdef NMISAFE_SHADOW_STACK
    subq    $NMI_SHADOW_STRIDE, AT_FRAME(NMI_BLOCK_SSP)
#endif
    jmp     .Lframe_is_whole

.Lreturn_without_latch:
    leaq    -RETURN_FRAME_END - FRAME_SIZE(%rsp), %rsp
    pop_registers_but_ax_cx
    popq    %rcx
    popq    %rax
    addq    $FRAME_BELOW_IP, %rsp
    iretq                               // why an IRET: the NMI's, in a control
#endif

// ---------------------------------------------------------------------------------------------------
// A nested NMI. It lowers the IST entry once more, so that none can write over its own frame either; remembers
// that it came; and goes back without IRET, so that NMIs are blocked again. Never C++, no state but this.
// Entries of other modules come here too, behind the first instruction.
    .globl  nmisafe_trap_nmi_nested
nmisafe_trap_nmi_nested:
    .cfi_restore_state
    subq    $NMI_STRIDE, AT_HEAD(NMI_STRIDE + NMI_BLOCK_IST) // level 1: the TSS. Others: the head above
    lower_shadow_stack AT_HEAD(NMI_STRIDE + NMI_BLOCK_SSP)
    cmpl    $1, AT_HEAD(NMI_BLOCK_LEVEL)
    je      nmisafe_trap_nmi_level_1
    subq    $NMI_STRIDE, AT_HEAD(2 * NMI_STRIDE + NMI_BLOCK_IST)
    lower_shadow_stack AT_HEAD(2 * NMI_STRIDE + NMI_BLOCK_SSP)
    .globl  nmisafe_trap_nmi_level_2
nmisafe_trap_nmi_level_2:
    cmpl    $2, AT_HEAD(NMI_BLOCK_LEVEL)
    jne     .Lstop_nested
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    leaq    3 * 8 + HARDWARE_FRAME + 2 * NMI_STRIDE(%rsp), %rdx
    jmp     .Llowered

    .globl  nmisafe_trap_nmi_level_1
nmisafe_trap_nmi_level_1:
    .cfi_hardware_frame 0
    push_reg rax
    push_reg rcx
    push_reg rdx
    leaq    3 * 8 + HARDWARE_FRAME + NMI_STRIDE(%rsp), %rdx

// RDX = P. RSP -> saved RDX, RCX, RAX, then what the CPU pushed.
#define SAVED_RAX 16
#define SAVED_RCX 8
#define SAVED_RDX 0
// What goes below the interrupted RSP, from there: the words for the return, RAX, RCX, RDX.
#define NESTED_COPY_CS -8
#ifdef NMISAFE_SHADOW_STACK
#define NESTED_COPY_IP -16
#else
#define NESTED_COPY_IP -8
#endif
#define NESTED_COPY (NESTED_COPY_IP - 32)
#define NESTED_FRAME(word) FRAME_##word - FRAME_IP + 24(%rsp)
.Llowered:
    .cfi_hardware_frame 24
    testb   $X86_RPL_MASK, NESTED_FRAME(CS)
    jnz     .Lstop_lowered              // an NMI's handler was left: abandon_nmi()
    leaq    24(%rsp), %rcx
    cmpq    %rcx, NESTED_FRAME(SP)      // the interrupted code is this level's entry, not lowered yet
    je      .Lstop_lowered
    movq    NESTED_FRAME(IP), %rax
    leaq    nmisafe_trap_nmi_window(%rip), %rcx
    subq    %rcx, %rax
    cmpq    $nmisafe_trap_nmi_raise - nmisafe_trap_nmi_window, %rax
    jbe     .Lredo_nested
    movq    NESTED_FRAME(IP), %rax
    cmpq    NMI_BLOCK_OTHER_BEGIN(%rdx), %rax
    jb      .Lremember
    cmpq    NMI_BLOCK_OTHER_END(%rdx), %rax
    ja      .Lremember
    movq    NMI_BLOCK_OTHER_REDO_SP(%rdx), %rsp
    raise_nested
    jmp     *NMI_BLOCK_OTHER_REDO(%rdx)

.Lredo_nested:
    leaq    -NMI_NESTED_SIZE(%rdx), %rsp // this frame is not needed any more,
    raise_nested                        // so the next may lie there
    jmp     nmisafe_trap_nmi_redo

// The way back leads over the interrupted stack: once the IST entry is raised, the next NMI's frame lies over
// this one. IF in the image: no NMI's handler was interrupted, so nothing is to be kept from it. RF: an IRET has
// just loaded it, so NMIs are open there already, and without it a breakpoint would be hit twice; or a repeated
// string instruction is to go on, which is rare.
.Lremember:
    movl    $1, NMI_BLOCK_PENDING(%rdx)
    movq    NESTED_FRAME(SP), %rcx
#ifdef NMISAFE_TRAP_CONTROLS
    testl   $NMISAFE_WITHOUT_NESTED_RETURN, nmisafe_trap_removed(%rip)
    jnz     .Lnot_plain
#endif
    testl   $X86_FLAGS_TF | X86_FLAGS_NT | X86_FLAGS_RF | X86_FLAGS_IF, NESTED_FRAME(FLAGS)
    jnz     .Lnot_plain
    movl    %cs, %eax
    cmpw    %ax, NESTED_FRAME(CS)
    jne     .Lnot_plain
    leave_nested_shadow_stack
#ifdef NMISAFE_SHADOW_STACK
    movq    NESTED_FRAME(SP), %rcx
    movq    NESTED_FRAME(CS), %rax
    movq    %rax, NESTED_COPY_CS(%rcx)
#endif
    movq    NESTED_FRAME(IP), %rax
    movq    %rax, NESTED_COPY_IP(%rcx)
    movq    NESTED_FRAME(FLAGS), %rax
    movq    %rax, NESTED_COPY_IP - 8(%rcx)
    .irp    offset, SAVED_RAX, SAVED_RCX, SAVED_RDX
    movq    \offset(%rsp), %rax
    movq    %rax, \offset + NESTED_COPY(%rcx)
    .endr
    leaq    NESTED_COPY(%rcx), %rsp
    .cfi_def_cfa %rsp, -NESTED_COPY
    .cfi_offset %rip, NESTED_COPY_IP
    .cfi_restore %rsp
    raise_nested
    popq    %rdx
    .cfi_adjust_cfa_offset -8
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    popq    %rax
    .cfi_adjust_cfa_offset -8
    popfq
    .cfi_adjust_cfa_offset -8
#ifdef NMISAFE_SHADOW_STACK
    lretq
#else
    ret
#endif

.Lnot_plain:
    .cfi_hardware_frame 24
    .irp    offset, 56, 48, 40, 32, 24, 16, 8, 0
    movq    \offset(%rsp), %rax
    movq    %rax, \offset - 64(%rcx)
    .endr
    leaq    -64(%rcx), %rsp
    raise_nested
    popq    %rdx
    .cfi_adjust_cfa_offset -8
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    popq    %rax
    .cfi_adjust_cfa_offset -8
    .globl  nmisafe_trap_nmi_nested_iret
nmisafe_trap_nmi_nested_iret:
    iretq                               // why an IRET: the image is not plain

// Never returns.
.Lstop_lowered:
    popq    %rdx
    popq    %rcx
    popq    %rax
.Lstop_nested:
// Here goes on an entry of another module that finds the frame of an NMI overwritten. RSP -> what the CPU pushed.
    .globl  nmisafe_trap_nmi_lost
nmisafe_trap_nmi_lost:
    .cfi_hardware_frame 0
    pushq   $0
    pushq   $X86_VECTOR_NMI
    .cfi_adjust_cfa_offset 16
    push_registers
    cld
.Lstop:
    movl    AT_FRAME(NMI_BLOCK_LEVEL), %ebx
    imulq   $NMI_STRIDE, %rbx
    leaq    FRAME_SIZE(%rsp, %rbx), %rbx // P
    load_kernel_tables_again %rbx, 0
    movl    $X86_MSR_GS_BASE, %ecx
    movl    NMI_BLOCK_GS_BASE(%rbx), %eax
    movl    NMI_BLOCK_GS_BASE + 4(%rbx), %edx
    wrmsr
    movq    %rsp, %rdi                  // arg 1: trap_frame*
    movl    AT_FRAME(NMI_BLOCK_LEVEL), %esi // arg 2
    call    nmisafe_trap_nmi_stop
    ud2
    .globl  nmisafe_trap_nmi_end
nmisafe_trap_nmi_end:
end_trap_code nmisafe_trap_nmi_entry

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
