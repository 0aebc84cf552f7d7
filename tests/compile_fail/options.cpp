// SPDX-License-Identifier: MIT
// Options of the whole library that exclude each other.
//
// error 1: isolated page tables and shadow stacks exclude each other
#if EXPECT_ERROR == 1
#define NMISAFE_SHADOW_STACK
#endif
#define NMISAFE_PAGE_TABLE_ISOLATION
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/policy.hpp"
