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
//   NMISAFE_USER_CLAC           CLAC at every entry: for kernels with CR4.SMAP
//   NMISAFE_USER_ENDBR          ENDBR at every entry of x86-64, also without -fcf-protection
//   NMISAFE_USER_KERNEL_FS      x86-32: what entries load FS with, 0 if it is not defined
//   NMISAFE_USER_VIRTUAL_8086   x86-32: ring 3 may get into virtual-8086 mode, as under QEMU 7.2, whose
//                               IRET does not look at the privilege: events there become a #GP
#ifndef NMISAFE_USER_LAYOUT_H
#define NMISAFE_USER_LAYOUT_H

#include <nmisafe_user_layout.h>

#if !defined NMISAFE_USER_CPU || !defined NMISAFE_USER_CODE_SELECTOR ||                            \
    !defined NMISAFE_USER_DATA_SELECTOR
#error "nmisafe_user_layout.h lacks one of the three macros that nmisafe/user/layout.h lists"
#endif

#endif
