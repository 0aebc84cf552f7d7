// SPDX-License-Identifier: MIT
// The library's macros with the section alone, for the self-test: what they switch off must then
// show.
#pragma once

#include "nmisafe/base/trap_text.hpp"

#undef NMISAFE_TRAP_TEXT
#define NMISAFE_TRAP_TEXT gnu::section("nmisafe_trap_text")
#undef NMISAFE_TRAP_INLINE
#define NMISAFE_TRAP_INLINE gnu::always_inline
