// SPDX-License-Identifier: MIT
// How a probe comes off its instruction, whoever wants it off.
#pragma once

#include "nmisafe/kprobe/probe_error.hpp"

namespace nmisafe::kprobe {
struct probe;
}

namespace nmisafe::kprobe::internal {

/// What remove() does to a probe that is inserted; between enter() and leave(). With an error (not
/// 0) nothing has changed. @context thread, interrupts on
probe_error take_off(probe& what);

} // namespace nmisafe::kprobe::internal
