// SPDX-License-Identifier: MIT
// What a module may leave behind.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

struct module_remains {
    uintptr_t pages; ///< But for page tables, which stay.
    size_t sites;
    size_t markers;
};

/// What there is now. @context thread
module_remains look_for_remains();

/// Fails unless that is all there is. @context thread
void expect_nothing_left(const module_remains& before);

} // namespace kernel
