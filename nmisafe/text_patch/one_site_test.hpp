// SPDX-License-Identifier: MIT
// For tests that run one side of a protocol instruction by instruction: one instruction in the
// fake's text, and a change of it.
#pragma once

#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::text_patch::test {

inline constexpr uintptr_t text_begin = 0x40000000;
inline constexpr unsigned long_enough = 1000; // boundaries that nobody passes who does not wait

/// A MOV of 1 to EAX, and RET.
inline void place() {
    nmisafe_platform::reset();
    nmisafe_platform::text.place(text_begin, {0xb8, 1, 0, 0, 0, 0xc3});
}

/// From a MOV of one value to that of another.
inline patch load(uint8_t before, uint8_t after) {
    return {text_begin, 0, 0, 0, 5, 0, {0xb8, before, 0, 0, 0}, {0xb8, after, 0, 0, 0}, {}};
}

/// As its INT3 leaves it.
inline x86::trap_frame hit() {
    x86::trap_frame frame{};
    frame.ip = text_begin + 1;
    return frame;
}

} // namespace nmisafe::text_patch::test
