// SPDX-License-Identifier: MIT
// Where other CPUs may be waited for.
#include "nmisafe/platform/waiting.hpp"

#include <doctest/doctest.h>

using nmisafe::platform::waiting;
using nmisafe::platform::waiting_here;
using fake = nmisafe_platform;

TEST_CASE("threads with interrupts on may wait, others may not, and hear why") {
    fake::reset();
    CHECK(waiting_here() == waiting::allowed);
    fake::can_synchronise = false;
    CHECK(waiting_here() == waiting::not_here);
    fake::cpu.nmi_in_progress = 1;
    CHECK(waiting_here() == waiting::in_nmi);
    fake::can_synchronise = true; // one CPU only
    CHECK(waiting_here() == waiting::in_nmi);
    fake::reset();
}

TEST_CASE("a thread that moves to another CPU is not taken for the first one's NMI handler") {
    fake::reset();
    nmisafe::platform::cpu_state first{};
    first.nmi_in_progress = 1;
    fake::left = &first;
    CHECK(waiting_here() == waiting::allowed);
    fake::reset();
}
