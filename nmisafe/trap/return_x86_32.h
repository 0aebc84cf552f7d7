// SPDX-License-Identifier: MIT
// The NMI-safe returns of x86-32 as assembler macros: the twin of return_x86_64.h, with the same
// names. Every register holds the interrupted code's value, ESP points at the frame
// the CPU pushed, \frame is 0.
//
// Facts the macros build on
//   1. A trap taken in ring 0 pushes EFLAGS, CS, EIP on the interrupted stack and no ESP: the return
//      needs no stack switch and no scratch register. [intel/vol3 6.12.1]
//   2. and 3. on POPF and STI: as in return_x86_64.h.
//
//   interrupted ESP ->  |        |  <- ESP after RET $8 (near) or LRET $4 (far)
//                  -4   | eflags |
//                  -8   | cs     |
//                  -12  | eip    |  <- ESP on entry, and after POPF
//                  -16  | eflags |  <- the copy that POPF takes
//
// Everything still needed is at ESP or above it at every boundary.
#ifndef NMISAFE_TRAP_RETURN_X86_32_H
#define NMISAFE_TRAP_RETURN_X86_32_H

#include "nmisafe/trap/return_common.h"
#include "nmisafe/x86/flags.h"

#ifdef __ASSEMBLER__

// Offsets in the frame that the CPU pushes.
#define HARDWARE_IP 0
#define HARDWARE_CS 4
#define HARDWARE_FLAGS 8

/// Clears IF in the image when the STI form follows; STI sets it again. The arithmetic flags it
/// spoils are loaded by POPF.
.macro image_without_interrupts interrupts, frame
    .if \interrupts
    andl    $~X86_FLAGS_IF, \frame + HARDWARE_FLAGS(%esp)
    .endif
.endm

/// Return by POPF and a near return. ESP + \frame -> the hardware frame. \interrupts=1 for an image
/// with IF=1. Does not load CS: same code segment only.
.macro nmi_safe_return_near frame:req, interrupts=0, shadowed=none
    balance_return_stack
    image_without_interrupts \interrupts, \frame
    .if \frame
    leal    \frame(%esp), %esp          // drops what lies below the frame; LEA leaves no trace
    RETURN_CFI(.cfi_def_cfa_offset 12)
    .endif
    capture_return cs=0 interrupts=\interrupts
    pushl   HARDWARE_FLAGS(%esp)
    RETURN_CFI(.cfi_adjust_cfa_offset 4)
    popfl
    RETURN_CFI(.cfi_adjust_cfa_offset -4)
    end_return \interrupts, \shadowed
    ret     $8                          // drops CS and EFLAGS
.endm

/// Return by POPF and a far return, as in the RFC. As above; also reloads CS, and pops the shadow
/// stack frame of the delivery: the form for CET. [intel/vol2 RET]
.macro nmi_safe_return_far frame:req, interrupts=0, shadowed=none
    image_without_interrupts \interrupts, \frame
    .if \frame
    leal    \frame(%esp), %esp
    RETURN_CFI(.cfi_def_cfa_offset 12)
    .endif
    capture_return cs=1 interrupts=\interrupts
    pushl   HARDWARE_FLAGS(%esp)
    RETURN_CFI(.cfi_adjust_cfa_offset 4)
    popfl
    RETURN_CFI(.cfi_adjust_cfa_offset -4)
    end_return \interrupts, \shadowed
    lret    $4                          // drops EFLAGS
.endm

/// The RFC's test of the return path: hands the words that POPF and the return are about to take to
/// nmisafe_trap_captured(). Nothing at all unless compiled with NMISAFE_TRAP_RETURN_CAPTURE.
/// ESP -> the hardware frame; every register is live.
.macro capture_return cs:req, interrupts:req
#ifdef NMISAFE_TRAP_RETURN_CAPTURE
    pushal                              // eight words
    movl    32 + HARDWARE_FLAGS(%esp), %eax
    .if \interrupts
    orl     $X86_FLAGS_IF, %eax         // as STI completes it
    .endif
    pushl   %eax                        // arg 3: EFLAGS
    .if \cs
    movzwl  36 + HARDWARE_CS(%esp), %eax
    pushl   %eax                        // arg 2: CS
    .else
    movl    %cs, %eax
    pushl   %eax                        // arg 2: the return pops no CS: the one it keeps
    .endif
    pushl   40 + HARDWARE_IP(%esp)      // arg 1: EIP
    cld
    call    nmisafe_trap_captured
    addl    $12, %esp
    popal
#endif
.endm

#endif // __ASSEMBLER__
#endif
