// SPDX-License-Identifier: MIT
/// The words an exception return loads: what return path capture shows.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::platform {

/// RIP, CS and RFLAGS (EIP, CS and EFLAGS on x86-32) of one NMI-safe return about to be taken.
struct return_image {
    uintptr_t ip;
    uintptr_t cs;
    uintptr_t flags;
};

} // namespace nmisafe::platform
