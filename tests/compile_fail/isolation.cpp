// SPDX-License-Identifier: MIT
// Isolated page tables of user mode, with what cannot go together with them or without what they need on x86-32. In the
// headers that assembly has too, and in those of C++.
//
// flags: -m32 -ffreestanding -fno-pic
// error 1: NMISAFE_TRAP_RETURN_CAPTURE: not with NMISAFE_PAGE_TABLE_ISOLATION
// error 2: nmisafe_user_layout.h lacks NMISAFE_USER_CPU_SELECTOR
// error 3: nmisafe_user_layout.h lacks one of the three macros
// error 4: NMISAFE_TRAP_RETURN_CAPTURE: not with NMISAFE_PAGE_TABLE_ISOLATION
#define NMISAFE_PAGE_TABLE_ISOLATION
#if EXPECT_ERROR == 1 || EXPECT_ERROR == 4
#define NMISAFE_TRAP_RETURN_CAPTURE
#endif
#if EXPECT_ERROR == 4
#define __ASSEMBLER__
#include "nmisafe/trap/return_common.h"
#else
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/user/layout.h"
#endif
