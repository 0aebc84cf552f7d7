// SPDX-License-Identifier: MIT
// The layouts, against the masks that the RFC and the kernels write. Layouts that must not compile
// are in tests/compile_fail/layout.cpp.
#include "nmisafe/context/layouts.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::context;

namespace {

template <typename Layout>
uint32_t all_fields() {
    return Layout::preempt.mask() | Layout::softirq.mask() | Layout::hardirq.mask() |
           Layout::nmi.mask() | Layout::preempt_active.mask() | Layout::need_resched.mask();
}

} // namespace

TEST_CASE("a field's mask, unit and limit") {
    CHECK(field{16, 4}.mask() == 0x000f'0000);
    CHECK(field{16, 4}.one() == 0x0001'0000);
    CHECK(field{16, 4}.limit() == 15);
    CHECK(field{31, 1}.mask() == 0x8000'0000);
    CHECK(field{}.mask() == 0);
    CHECK(field{}.one() == 0);
    CHECK(field{}.limit() == 0);
    CHECK(field{28, 6}.wide_mask() == 0x3'f000'0000);
    CHECK(flag(0x1000'0000).shift == 28);
    CHECK(flag(0x1000'0000).bits == 1);
    CHECK(flag(0x5000'0000).bits == 3);
}

TEST_CASE("the RFC's layout has the RFC's masks") {
    CHECK(layouts::rfc::preempt.mask() == 0x0000'00ff);
    CHECK(layouts::rfc::softirq.mask() == 0x0000'ff00);
    CHECK(layouts::rfc::hardirq.mask() == 0x0fff'0000);
    CHECK(layouts::rfc::preempt_active.mask() == 0x1000'0000);
    CHECK(layouts::rfc::nmi.mask() == 0x4000'0000);
    CHECK(layouts::rfc::need_resched.mask() == 0);
    CHECK(layouts::rfc::nmi.limit() == 1);
}

TEST_CASE("the modern layout nests NMIs 15 deep") {
    CHECK(layouts::modern::preempt.mask() == 0x0000'00ff);
    CHECK(layouts::modern::softirq.mask() == 0x0000'ff00);
    CHECK(layouts::modern::hardirq.mask() == 0x000f'0000);
    CHECK(layouts::modern::nmi.mask() == 0x00f0'0000);
    CHECK(layouts::modern::need_resched.mask() == 0x8000'0000);
    CHECK(layouts::modern::preempt_active.mask() == 0);
    CHECK(layouts::modern::nmi.limit() == 15);
}

TEST_CASE("PREEMPT_ACTIVE is off the NMI bit on every architecture that had it there") {
    CHECK(all_fields<layouts::alpha>() == 0x5fff'ffff);
    CHECK(all_fields<layouts::avr32>() == 0x5fff'ffff);
    CHECK(all_fields<layouts::arm>() == 0x51ff'ffff);
    CHECK(all_fields<layouts::ia64>() == 0x5fff'ffff);
    CHECK(layouts::alpha::preempt_active.mask() == 0x1000'0000);
    CHECK(layouts::avr32::preempt_active.mask() == 0x1000'0000);
    CHECK(layouts::arm::preempt_active.mask() == 0x1000'0000);
    CHECK(layouts::ia64::preempt_active.mask() == 0x1000'0000);
}
