// SPDX-License-Identifier: MIT
// Which events in progress cannot be left for good. Those that can are the guest's: nmi-like, path abandoned.
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/nmi_boundary.hpp"
#include "nmisafe/trap/nmi_debug.hpp"
#include "nmisafe/trap/trap.hpp"

#include <doctest/doctest.h>

#include <string>

namespace nmisafe::trap::internal { // of other files

bool nmi_stack_in_use;

void forget_nmi_debugging() {}
bool is_nmi_stack_in_use() {
    return nmi_stack_in_use;
}

} // namespace nmisafe::trap::internal

namespace {

using namespace nmisafe;

std::string stopped_by(uint32_t nmis, uint32_t like_nmis) {
    auto& cpu = platform::contract::this_cpu();
    cpu.nmi_in_progress = nmis;
    cpu.nmi_like_in_progress = like_nmis;
    std::string found;
    try {
        trap::abandon_nmi_like();
    } catch (const platform::fake::panicked& why) {
        found = why.what;
    }
    CHECK(cpu.nmi_in_progress == nmis); // nothing has been changed
    CHECK(cpu.nmi_like_in_progress == like_nmis);
    cpu = {};
    return found;
}

TEST_CASE("a #DB or #MC is left only where it has interrupted none of its kind") {
    const std::string name = "abandon_nmi_like(): not in one #DB or #MC alone";
    CHECK(stopped_by(0, 0) == name); // there is none
    CHECK(stopped_by(0, 2) == name);
    CHECK(stopped_by(1, 1) == name);
    CHECK(stopped_by(1, 0) == name);
}

TEST_CASE("nor in an NMI's entry or exit, where it is not counted") {
    trap::internal::nmi_stack_in_use = true;
    CHECK(stopped_by(0, 1) == "abandon_nmi_like(): not in one #DB or #MC alone");
    trap::internal::nmi_stack_in_use = false;
}

} // namespace
