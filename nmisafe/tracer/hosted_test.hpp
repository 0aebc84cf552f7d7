// SPDX-License-Identifier: MIT
// What the files of the hosted test share.
#pragma once

#include "nmisafe/tracer/machine_test.hpp"

namespace nmisafe::tracer::test {

// hosted_markers_test.cpp
void test_markers_and_probes();

} // namespace nmisafe::tracer::test
