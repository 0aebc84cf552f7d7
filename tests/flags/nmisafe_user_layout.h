// SPDX-License-Identifier: MIT
// The layout of a kernel with user mode, for objects that are never run. SYSRET wants the code behind the
// data, SYSEXIT before it.
#define NMISAFE_USER_CPU 0x100
#ifdef __x86_64__
#define NMISAFE_USER_CODE_SELECTOR 0x2b
#else
#define NMISAFE_USER_CODE_SELECTOR 0x1b
#define NMISAFE_USER_CPU_SELECTOR 0x28
#endif
#define NMISAFE_USER_DATA_SELECTOR 0x23
