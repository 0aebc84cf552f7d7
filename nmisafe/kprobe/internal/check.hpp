// SPDX-License-Identifier: MIT
// Whether a probe may be put where it wants to be.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/probe_error.hpp"

namespace nmisafe::kprobe {
struct probe;
}

namespace nmisafe::kprobe::internal {

inline constexpr probe_error no_error{};

/// A probe that may be inserted.
struct checked {
    plan how;
    uint8_t bytes[x86::maximum_instruction_length]; // what has been read: of the instruction
    uintptr_t middle;                               // a boundary on the way to it
};

/// Whether any of the range is closed to probes (closed_range.hpp). Nobody inserts, closes or opens
/// meanwhile. @context thread
bool is_closed(uintptr_t begin, uintptr_t end);

/// How to step over the instruction of a probe, if it may be probed. Nobody inserts, removes or
/// releases meanwhile; but the instruction may be patched. @context thread
base::expected<checked, probe_error> check(const probe& what);

} // namespace nmisafe::kprobe::internal
