// SPDX-License-Identifier: MIT
/// Where a kernel's own entry code leaves what a trap has interrupted: for the optional part of the
/// contract that says so.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::platform {

/// Offsets in bytes from a frame's address, each of a word as wide as a register.
struct frame_layout {
    uint8_t ip;
    uint8_t flags;
    /// Of the error code of #PF: read by the module vmalloc alone.
    uint8_t error;
    /// x86-64: of the interrupted RSP. x86-32: where the interrupted stack begins, behind EFLAGS.
    uint8_t sp;
    /// The general registers, by the numbers that instructions have for them: AX, CX, DX, BX, SP, BP, SI, DI, R8 to
    /// R15. The stack pointer's place here is not looked at.
    uint8_t registers[sizeof(uintptr_t) == 8 ? 16 : 8];
};

} // namespace nmisafe::platform
