// SPDX-License-Identifier: MIT
// What the entry code must know of the embedding kernel, as numbers: found as nmisafe_platform.hpp is.
//
// The embedder puts a header nmisafe_user_layout.h on the include path. It is for assembly too:
// nothing but macros.
//
//   NMISAFE_USER_CPU            where this CPU's cpu_words lie: bytes from the kernel's GS base
//   NMISAFE_USER_CODE_SELECTOR  of user code, with RPL 3
//   NMISAFE_USER_DATA_SELECTOR  of the user's stack (x86-32: and data), with RPL 3: the only stack
//                               segment that a return to user mode takes
//
// SYSRET wants the code's selector 8 above the data's, SYSEXIT 8 below. [intel/vol2 SYSRET, SYSEXIT]
//
// An option, a macro that is defined or not:
//
//   NMISAFE_USER_CLAC           CLAC at every entry: for kernels with CR4.SMAP. The CPU must have
//                               SMAP: on others CLAC is a #UD
//   NMISAFE_USER_KERNEL_FS      x86-32: what entries load FS with, 0 if it is not defined
//   NMISAFE_USER_VIRTUAL_8086   x86-32: ring 3 may get into virtual-8086 mode, as under QEMU 7.2, whose
//                               IRET does not look at the privilege: events there become a #GP
//
// An option of the whole library, for C++ and assembly alike:
//
//   NMISAFE_PAGE_TABLE_ISOLATION  the kernel has page tables of its own for user mode. Entries and returns change
//                               CR3 (without PCID); NMI, #DB, #MC and #DF load the kernel's, whatever they interrupt,
//                               and put back what they have found. Tables of user mode must map, for ring 0 alone and
//                               not as global pages,
//                                 - the section nmisafe_trap_text
//                                 - IDT, GDT, each CPU's cpu_words and smallest_entry_stack bytes below
//                                   cpu_words::entry_stack
//                                 - x86-64: each CPU's nmi_block (the TSS is in it) and NMI_NESTED_SIZE + 256 bytes
//                                   below it; the ist_top of #DB, #MC and #DF, and 512 bytes below each
//                                 - with NMISAFE_SHADOW_STACK, as shadow stacks: 64 bytes below each thread's token
//                                   and the token, and as much below SSP at enter(), 256 bytes below those of the ISTs, and all of an NMI's levels 1 to 3
//                                 - x86-32: each CPU's TSS, and that of #DF, whose CR3 is the kernel's
//                               and no more is needed: of the stacks, of which more is there (cpu_words.h). The TSS's RSP0 (ESP0) is cpu_words::entry_stack, for ever.
//                               user::set_page_tables() is called at each switch of threads.
//
// With it x86-32 asks for one more macro:
//
//   NMISAFE_USER_CPU_SELECTOR   that of set_percpu_selector(), which is in memory that user mode's tables do not map
#ifndef NMISAFE_USER_LAYOUT_H
#define NMISAFE_USER_LAYOUT_H

#include <nmisafe_user_layout.h>

#if !defined NMISAFE_USER_CPU || !defined NMISAFE_USER_CODE_SELECTOR ||                            \
    !defined NMISAFE_USER_DATA_SELECTOR
#error "nmisafe_user_layout.h lacks one of the three macros that nmisafe/user/layout.h lists"
#endif

#if defined NMISAFE_PAGE_TABLE_ISOLATION && defined __i386__ && !defined NMISAFE_USER_CPU_SELECTOR
#error "isolated page tables: nmisafe_user_layout.h lacks NMISAFE_USER_CPU_SELECTOR"
#endif

#endif
