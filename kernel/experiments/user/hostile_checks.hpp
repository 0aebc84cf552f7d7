// SPDX-License-Identifier: MIT
// What hostile-tasks says of a task that went wrong, and the comparison of all that a frame holds of one.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/user/user.hpp"

namespace kernel {

/// The failures that follow are of this one. @context thread
void begin_checks_of_task(uint32_t number);

/// As fail(), with the number of the task. @context thread
void fail_task(const char* what, uintptr_t expected, uintptr_t found);

/// All of it but RF, and segments that cannot be loaded, or must not be kept, which are null. @context thread
void expect_same_frame(nmisafe::user::user_frame& before, nmisafe::user::user_frame& after);

} // namespace kernel
