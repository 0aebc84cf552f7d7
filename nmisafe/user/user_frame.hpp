// SPDX-License-Identifier: MIT
// A frame from user mode: more than a trap_frame has on x86-32.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::user {

#ifdef __x86_64__
struct user_frame {
    x86::trap_frame trap;

    [[NMISAFE_TRAP_INLINE]] uint64_t& sp() { return trap.sp; }
    [[NMISAFE_TRAP_INLINE]] uint64_t& ss() { return trap.ss; }
};
#else
struct user_frame {
    uint32_t gs, fs, es, ds;
    x86::trap_frame trap;
    uint32_t user_sp, user_ss; ///< Pushed by the CPU.

    [[NMISAFE_TRAP_INLINE]] uint32_t& sp() { return user_sp; }
    [[NMISAFE_TRAP_INLINE]] uint32_t& ss() { return user_ss; }
};
#endif

/// Whether the CPU was in ring 3. @context any
[[NMISAFE_TRAP_INLINE]] inline bool is_from_user(const x86::trap_frame& frame) {
    return (frame.cs & X86_RPL_MASK) == X86_RPL_MASK;
}

/// All of a frame for which is_from_user() holds. @context any
[[NMISAFE_TRAP_INLINE]] inline user_frame& user_frame_of(x86::trap_frame& frame) {
    return *reinterpret_cast<user_frame*>(reinterpret_cast<uintptr_t>(&frame) -
                                          offsetof(user_frame, trap));
}

} // namespace nmisafe::user
