// SPDX-License-Identifier: MIT
// What the branches that need no slot do to a trap frame. [intel/vol2 jcc, loop]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/platform/frame.hpp"
#include "nmisafe/x86/condition.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/width.hpp"

namespace nmisafe::kprobe::internal {

/// The counter register as the instruction sees it.
[[NMISAFE_TRAP_INLINE]] constexpr uintptr_t counter_mask(bool is_short) {
    return is_short ? ~uintptr_t{0} >> sizeof(uintptr_t) * 4 : ~uintptr_t{0};
}

/// Counts down, and says whether LOOP (e2), LOOPE (e1) or LOOPNE (e0) jumps. A short counter of 4
/// bytes takes the upper half of the register with it, as every write of 4 bytes does, one of 2
/// bytes does not. [intel/vol1 3.4.1.1]
[[NMISAFE_TRAP_INLINE]] inline bool count_down(platform::frame_words frame, const step& what) {
    const uintptr_t mask = counter_mask(what.short_counter);
    const uintptr_t count = (frame[platform::word_at.cx] - 1) & mask;
    frame[platform::word_at.cx] =
        x86::is_64_bit ? count : count | (frame[platform::word_at.cx] & ~mask);
    if (count == 0)
        return false;
    const bool zero = (frame[platform::word_at.flags] & X86_FLAGS_ZF) != 0;
    return what.opcode == 0xe2 || zero == (what.opcode == 0xe1);
}

/// Makes the frame what it would be had the instruction run. False: it needs the slot.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool emulate(platform::frame_words frame, const step& what,
                                            uintptr_t address) {
    bool jumps = false;
    switch (what.how) {
    case way::skip:
        break;
    case way::jump:
        jumps = true;
        break;
    case way::conditional_jump:
        jumps = x86::condition_holds(what.opcode, frame[platform::word_at.flags]);
        break;
    case way::loop:
        jumps = count_down(frame, what);
        break;
    case way::jump_cx_zero:
        jumps = (frame[platform::word_at.cx] & counter_mask(what.short_counter)) == 0;
        break;
    case way::copy:
    case way::call:
    case way::call_indirect:
    case way::jump_indirect:
    case way::return_near:
        return false;
    }
    frame[platform::word_at.ip] = jumps ? what.target : address + what.length;
    return true;
}

} // namespace nmisafe::kprobe::internal
