// SPDX-License-Identifier: MIT
// What an NMI needs on its own stack before it can trust anything else.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::trap {

/// Sits at the address the NMI's IST entry points to, just above the frame the CPU pushes: the NMI
/// entry finds this CPU's GS base here without asking GS. x86-64 only. Must be 16-byte aligned, on
/// memory that is always mapped.
struct nmi_stack_top {
    uint64_t gs_base;
    uint64_t unused; // keeps the stack top aligned
};
static_assert(sizeof(nmi_stack_top) == 16);

/// What the library itself needs of any trap stack, in bytes: a frame, the dispatch at -O0, and a
/// trap nested in the handler. The handlers' own need comes on top.
inline constexpr uint32_t smallest_stack = 2048;

} // namespace nmisafe::trap
