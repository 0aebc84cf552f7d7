// SPDX-License-Identifier: MIT
/// What the library tells the embedding kernel before the machine stops, and what it shows it of
/// each NMI-safe return.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::x86 {
struct trap_frame;
}

namespace nmisafe::platform {

/// Why the library cannot go on: the argument of the platform's panic().
struct failure {
    /// One clause of plain text, never null.
    const char* what;
    /// The frame of the exception at hand, or null where there is none.
    const x86::trap_frame* frame;
    /// The word the text is about (a preempt count, a stack pointer, ...), 0 if none.
    uintptr_t value;
};

} // namespace nmisafe::platform
