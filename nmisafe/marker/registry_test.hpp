// SPDX-License-Identifier: MIT
// What tests on the fake platform register.
#pragma once

#include "nmisafe/marker/marker.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

namespace nmisafe::marker {

/// A probe of one test: where a check ends the test early it still goes. Left in the list, it would
/// be one of the next test's too, which has its own at that address: a list without an end.
class test_probe : public probe {
  public:
    using probe::probe;
    ~test_probe() {
        if (registered_with() == nullptr)
            return;
        nmisafe_platform::cpu.nmi_in_progress = 0;
        nmisafe_platform::can_synchronise = true;
        (void)unregister_probe(*this); // what can be refused then is refused to all later tests
    }
    test_probe(const test_probe&) = delete;
    test_probe& operator=(const test_probe&) = delete;
};

} // namespace nmisafe::marker
