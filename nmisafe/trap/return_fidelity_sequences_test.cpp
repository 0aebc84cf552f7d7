// SPDX-License-Identifier: MIT
// The sequences of the harness and the stack placements they are run on.
#include "nmisafe/trap/return_fidelity.hpp"

#define DECLARE_SEQUENCE(name)                                                                     \
    extern const unsigned char return_fidelity_##name[];                                           \
    extern const unsigned char return_fidelity_##name##_last[]

extern "C" {
DECLARE_SEQUENCE(near);
DECLARE_SEQUENCE(near_deep);
DECLARE_SEQUENCE(near_sti);
DECLARE_SEQUENCE(far);
DECLARE_SEQUENCE(far_deep);
DECLARE_SEQUENCE(far_sti);
DECLARE_SEQUENCE(iret);
DECLARE_SEQUENCE(control);
}

namespace nmisafe::trap::fidelity {

namespace {
constexpr unsigned by_width(unsigned on_64_bit, unsigned on_32_bit) {
    return x86::is_64_bit ? on_64_bit : on_32_bit;
}
} // namespace

// clang-format off
// name, first and last instruction, frame offset, instructions allowed, has STI, pops SS.
const sequence sequences[7] = {
    {"near", return_fidelity_near, return_fidelity_near_last,
     STATE_FRAME_NEXT, by_width(13, 5), false, false},
    {"near-deep", return_fidelity_near_deep, return_fidelity_near_deep_last,
     STATE_FRAME_DEEP, by_width(13, 6), false, false},
    {"near-sti", return_fidelity_near_sti, return_fidelity_near_sti_last,
     STATE_FRAME_DEEP, by_width(15, 8), true, false},
    {"far", return_fidelity_far, return_fidelity_far_last,
     STATE_FRAME_NEXT, by_width(13, 3), false, false},
    {"far-deep", return_fidelity_far_deep, return_fidelity_far_deep_last,
     STATE_FRAME_DEEP, by_width(13, 4), false, false},
    {"far-sti", return_fidelity_far_sti, return_fidelity_far_sti_last,
     STATE_FRAME_DEEP, by_width(15, 6), true, false},
    {"iret", return_fidelity_iret, return_fidelity_iret_last,
     STATE_FRAME_NEXT, by_width(3, 1), false, x86::is_64_bit},
};

const sequence control =
    {"control", return_fidelity_control, return_fidelity_control_last,
     STATE_FRAME_NEXT, by_width(8, 4), false, false};

// 64-bit: the frame starts at a multiple of 16, so an SP that is not one leaves a pad word above it.
const placement placements[placement_count] = {
#if defined(__x86_64__)
    {"same stack", 0, false, false},
    {"same stack, pad word", 8, false, false},
    {"same stack, emulated CALL", 0, false, true},
    {"same stack, pad word, emulated CALL", 8, false, true},
    {"other stack", 0, true, false},
    {"other stack, SP not aligned", 8, true, false},
    {"other stack, emulated CALL", 0, true, true},
    {"other stack, SP not aligned, emulated CALL", 8, true, true},
#else
    {"SP % 16 == 0", 0, false, false},
    {"SP % 16 == 12", 4, false, false},
    {"SP % 16 == 8", 8, false, false},
    {"SP % 16 == 4", 12, false, false},
#endif
};
// clang-format on

} // namespace nmisafe::trap::fidelity
