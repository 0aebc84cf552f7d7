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

/// From user mode, GS the kernel's: CR3 becomes that of the thread in the kernel, if there are two.
.macro load_kernel_tables scratch:req
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    movq    %gs:CPU_WORD(USER_KERNEL_TABLES), %\scratch
    movq    %\scratch, %cr3
#endif
.endm

#endif // __ASSEMBLER__
#endif
