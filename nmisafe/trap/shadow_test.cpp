// SPDX-License-Identifier: MIT
#include "nmisafe/trap/shadow.hpp"

#include <doctest/doctest.h>

extern "C" const char nmisafe_trap_near_shadowed[1] = {};
extern "C" const char nmisafe_trap_far_shadowed[1] = {};

namespace {

using namespace nmisafe;

const char own_shadowed[2] = {};

struct outcome {
    bool is_back; ///< At the STI, with interrupts off.
    bool is_untouched;
};

outcome after_nmi(const char* where, uintptr_t segment, const char* label) {
    x86::trap_frame frame{};
    frame.ip = reinterpret_cast<uintptr_t>(where);
    frame.cs = segment;
    frame.flags = X86_FLAGS_FIXED | X86_FLAGS_IF;
    const x86::trap_frame before = frame;
    if (label != nullptr)
        trap::leave_interrupt_shadow(frame, label);
    else
        trap::leave_interrupt_shadow(frame);
    return {.is_back = frame.ip + 1 == before.ip && frame.flags == X86_FLAGS_FIXED,
            .is_untouched = frame.ip == before.ip && frame.flags == before.flags};
}

TEST_CASE("an NMI in the shadow of a return's STI goes back to the STI") {
    CHECK(after_nmi(nmisafe_trap_near_shadowed, 8, nullptr).is_back);
    CHECK(after_nmi(nmisafe_trap_far_shadowed, 8, nullptr).is_back);
    CHECK(after_nmi(own_shadowed, 8, own_shadowed).is_back); // of an entry of the embedder's own
}

TEST_CASE("elsewhere, and from user mode, it goes on where it was") {
    CHECK(after_nmi(own_shadowed, 8, nullptr).is_untouched);
    CHECK(after_nmi(own_shadowed + 1, 8, own_shadowed).is_untouched);
    CHECK(after_nmi(own_shadowed, 0x2b, own_shadowed).is_untouched);
    CHECK(after_nmi(nmisafe_trap_near_shadowed, 0x2b, nullptr).is_untouched);
}

} // namespace
