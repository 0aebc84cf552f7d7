// SPDX-License-Identifier: MIT
// Pages that come and go by one store: what a page fault in an NMI handler maps.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

inline constexpr unsigned test_pages = 64;

/// Gives every test page its memory and leaves it unmapped. @context boot, once
void set_up_test_pages();

/// The address of test page `n`. @context any
void* test_page(unsigned n);

/// The number of the test page that has `address` in it, test_pages if none has. @context any
unsigned find_test_page(uintptr_t address);

/// Maps test page `n`: one store, no lock, no allocation. @context any
void map_test_page(unsigned n);

/// Unmaps it, and drops it from this CPU's TLB only. @context any
void unmap_test_page(unsigned n);

} // namespace kernel
