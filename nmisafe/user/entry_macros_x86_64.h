// SPDX-License-Identifier: MIT
// What the files of x86-64's entries share: assembly only.
#ifndef NMISAFE_USER_ENTRY_MACROS_X86_64_H
#define NMISAFE_USER_ENTRY_MACROS_X86_64_H

#include "nmisafe/trap/entry_macros.h"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/trap_frame.h"

#ifdef __ASSEMBLER__

#define CPU_WORD(offset) (NMISAFE_USER_CPU + (offset))
#define HARDWARE_SIZE (FRAME_SIZE - FRAME_IP)

/// Page tables with all of the kernel in them. GS is the kernel's. Keeps all registers and flags.
.macro load_kernel_cr3
#ifdef NMISAFE_USER_KERNEL_CR3
    push_reg rax
    movq    %gs:CPU_WORD(USER_KERNEL_CR3), %rax
    movq    %rax, %cr3
    pop_reg rax
#endif
.endm

#endif // __ASSEMBLER__
#endif
