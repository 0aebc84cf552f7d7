// SPDX-License-Identifier: MIT
// What a module may leave behind.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/trap_frame.h"

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

/// For a control's page-fault handler: if the access is to what has gone with a module, that is a
/// failure, with which the row and the machine end, since nothing can be run after that.
/// @context any
void end_at_use_of_remains(const nmisafe::x86::trap_frame& frame, uintptr_t address,
                           const char* path);

} // namespace kernel
