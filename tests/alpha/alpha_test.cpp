// SPDX-License-Identifier: MIT
// Proof that the other tests of this program really were built for alpha and run on it, and the
// layout that the RFC gives alpha, on the word an alpha kernel keeps.
#ifndef __alpha__
#error "this file belongs in the alpha test only"
#endif

#include "nmisafe/context/count.hpp"

#include <cstring>
#include <doctest/doctest.h>
#include <sys/utsname.h>

using namespace nmisafe::context;

TEST_CASE("this runs on alpha") {
    utsname system{};
    REQUIRE(uname(&system) == 0);
    CHECK(std::strcmp(system.machine, "alpha") == 0);
}

TEST_CASE("an NMI during preemption on alpha: the flag and the NMI bit keep apart") {
    using tested = basic_count<layouts::alpha, nmisafe_platform>;
    constexpr uint32_t preempt_active = layouts::alpha::preempt_active.mask();
    nmisafe_platform::reset(preempt_active);
    CHECK_FALSE(tested::in_nmi()); // with the old 0x4000'0000 it already was
    tested::nmi_enter();           // and this would have been the RFC's BUG
    CHECK(tested::in_nmi());
    CHECK((tested::preempt_count() & preempt_active) != 0);
    tested::nmi_exit();
    CHECK(nmisafe_platform::count == preempt_active);
}
