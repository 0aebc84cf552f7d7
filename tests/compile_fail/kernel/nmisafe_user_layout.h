// SPDX-License-Identifier: MIT
// The numbers of a kernel with user mode, without the one that EXPECT_ERROR picks: isolation.cpp.
#if EXPECT_ERROR != 3
#define NMISAFE_USER_CPU 0
#endif
#define NMISAFE_USER_CODE_SELECTOR 0x1b
#define NMISAFE_USER_DATA_SELECTOR 0x23
#if EXPECT_ERROR != 2
#define NMISAFE_USER_CPU_SELECTOR 0x30
#endif
