// SPDX-License-Identifier: MIT
// Code whose frame pointer is none: profile_windows.S.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

extern "C" {

/// Spins so many times with that frame pointer, or until the word, if there is one, is not 0.
[[NMISAFE_ASSEMBLY_CALL]] void spin_with_frame_pointer(uintptr_t frame_pointer, uint32_t turns,
                                                       const volatile uint32_t* until);

/// The call of the action.
[[NMISAFE_ASSEMBLY_CALL]] void window_profile_walk();
[[NMISAFE_ASSEMBLY_CALL]] void profile_walk_action();
extern const char window_profile_walk_begin[], window_profile_walk_end[];
}
