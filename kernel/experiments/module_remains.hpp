// SPDX-License-Identifier: MIT
// What a module may leave behind.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

struct module_remains {
    uintptr_t pages;
    size_t sites;
    size_t markers;
};

/// What there is now. Page tables stay: so after a module has been there once. @context thread
module_remains look_for_remains();

/// Fails unless that is all there is. @context thread
void expect_nothing_left(const module_remains& before);

} // namespace kernel
