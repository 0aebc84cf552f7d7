// SPDX-License-Identifier: MIT
// The sequences of the harness and the stack placements they are run on.
#include "nmisafe/trap/return_fidelity.hpp"

#define DECLARE_SEQUENCE(name)                                                                     \
    extern const unsigned char return_fidelity_##name[];                                           \
    extern const unsigned char return_fidelity_##name##_last[];                                    \
    extern const unsigned char return_fidelity_##name##_end[]

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
// name, first and last instruction, end, frame offset, instructions allowed, has STI, pops SS.
const sequence sequences[7] = {
    {"near", return_fidelity_near, return_fidelity_near_last, return_fidelity_near_end,
     STATE_FRAME_NEXT, by_width(16, 5), false, false},
    {"near-deep", return_fidelity_near_deep, return_fidelity_near_deep_last, return_fidelity_near_deep_end,
     STATE_FRAME_DEEP, by_width(16, 6), false, false},
    {"near-sti", return_fidelity_near_sti, return_fidelity_near_sti_last, return_fidelity_near_sti_end,
     STATE_FRAME_DEEP, by_width(18, 8), true, false},
    {"far", return_fidelity_far, return_fidelity_far_last, return_fidelity_far_end,
     STATE_FRAME_NEXT, by_width(16, 3), false, false},
    {"far-deep", return_fidelity_far_deep, return_fidelity_far_deep_last, return_fidelity_far_deep_end,
     STATE_FRAME_DEEP, by_width(16, 4), false, false},
    {"far-sti", return_fidelity_far_sti, return_fidelity_far_sti_last, return_fidelity_far_sti_end,
     STATE_FRAME_DEEP, by_width(18, 6), true, false},
    {"iret", return_fidelity_iret, return_fidelity_iret_last, return_fidelity_iret_end,
     STATE_FRAME_NEXT, by_width(3, 1), false, x86::is_64_bit},
};

const sequence control =
    {"control", return_fidelity_control, return_fidelity_control_last, return_fidelity_control_end,
     STATE_FRAME_NEXT, by_width(8, 4), false, false};

// 64-bit: the frame starts at a multiple of 16, so an SP that is not one leaves a pad word above it.
constexpr trap_stack same = trap_stack::interrupted;
const placement placements[placement_count] = {
#if defined(__x86_64__)
    {"same stack", 0, same, 0, false},
    {"same stack, pad word", 8, same, 0, false},
    {"same stack, emulated CALL", 0, same, 8, true},
    {"same stack, pad word, emulated CALL", 8, same, 8, true},
    {"lower stack", 0, trap_stack::lower, 0, false},
    {"lower stack, SP not aligned", 8, trap_stack::lower, 0, false},
    {"lower stack, emulated CALL", 0, trap_stack::lower, 8, true},
    {"lower stack, SP not aligned, emulated CALL", 8, trap_stack::lower, 8, true},
    {"upper stack", 0, trap_stack::upper, 0, false},
    {"upper stack, SP not aligned, emulated CALL", 8, trap_stack::upper, 8, true},
#else
    {"SP % 16 == 0", 0, same, 0, false},
    {"SP % 16 == 12", 4, same, 0, false},
    {"SP % 16 == 8", 8, same, 0, false},
    {"SP % 16 == 4", 12, same, 0, false},
#endif
};
// clang-format on

} // namespace nmisafe::trap::fidelity
