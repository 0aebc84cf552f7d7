// SPDX-License-Identifier: MIT
// What a CPU runs from its start until it is counted (kernel/smp/smp.cpp): without an IDT at first,
// and nobody asks it to see code that has changed. So no breakpoint may stand there, and nothing
// there is ever patched. What is called from here is here too, or inlined, at -O0 also; tests/image
// looks. boot/sections.ld puts it where is_no_probe() says so.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"

#define KERNEL_JOIN_TEXT gnu::section("kernel_join_text"), NMISAFE_UNINSTRUMENTED
