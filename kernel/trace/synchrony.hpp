// SPDX-License-Identifier: MIT
// Whether the TSCs of two CPUs agree.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Whether the TSC of another CPU is never seen to lag behind this one's, nor to be ahead of it.
/// @context boot, first CPU
bool has_same_tsc(uint32_t cpu_id);

} // namespace kernel
