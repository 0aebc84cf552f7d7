// SPDX-License-Identifier: MIT
// What the entries of user mode must know of this kernel.
#define NMISAFE_USER_CPU 0 // cpu_words come first in per_cpu
#define NMISAFE_USER_DATA_SELECTOR 0x23
#ifdef __x86_64__
#define NMISAFE_USER_CODE_SELECTOR 0x2b
#else
#define NMISAFE_USER_CODE_SELECTOR 0x1b
#define NMISAFE_USER_CPU_SELECTOR 0x30 // read with isolated page tables only
#endif
