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

/// How to step over the instruction of a probe, if it may be probed. `first_byte` becomes the
/// instruction's own. Nobody inserts, removes or releases meanwhile. @context thread
base::expected<plan, probe_error> check(const probe& what, uint8_t& first_byte);

} // namespace nmisafe::kprobe::internal
