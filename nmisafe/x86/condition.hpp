// SPDX-License-Identifier: MIT
/// The conditions of conditional instructions.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/x86/flags.h"

namespace nmisafe::x86 {

/// Whether a condition holds: the low 4 bits of the opcodes of Jcc, SETcc and CMOVcc. Inlined, so
/// that breakpoint handlers call nothing that could be probed. @context any [intel/vol1 appendix B]
[[NMISAFE_TRAP_INLINE]] constexpr bool condition_holds(uint8_t opcode, uintptr_t flags) {
    const bool less = ((flags & X86_FLAGS_SF) != 0) != ((flags & X86_FLAGS_OF) != 0);
    bool holds = false;
    switch (opcode >> 1 & 7) {
    case 0:
        holds = (flags & X86_FLAGS_OF) != 0;
        break;
    case 1:
        holds = (flags & X86_FLAGS_CF) != 0;
        break;
    case 2:
        holds = (flags & X86_FLAGS_ZF) != 0;
        break;
    case 3:
        holds = (flags & (X86_FLAGS_CF | X86_FLAGS_ZF)) != 0;
        break;
    case 4:
        holds = (flags & X86_FLAGS_SF) != 0;
        break;
    case 5:
        holds = (flags & X86_FLAGS_PF) != 0;
        break;
    case 6:
        holds = less;
        break;
    default:
        holds = less || (flags & X86_FLAGS_ZF) != 0;
        break;
    }
    return holds != ((opcode & 1) != 0); // an odd one is the opposite
}

} // namespace nmisafe::x86
