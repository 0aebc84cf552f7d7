// SPDX-License-Identifier: MIT
// One at a time: who changes probes, or what may be probed.
#pragma once

#include "nmisafe/kprobe/probe_error.hpp"

namespace nmisafe::kprobe::internal {

/// Whether text can be changed from here, by nobody else meanwhile. With no error (0) that is so
/// until leave(). @context any
probe_error enter();
void leave();

} // namespace nmisafe::kprobe::internal
