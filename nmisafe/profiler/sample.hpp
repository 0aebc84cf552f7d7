// SPDX-License-Identifier: MIT
/// A sample: what a CPU was doing when an NMI came, and who had called it, as an event.
#pragma once

#include "nmisafe/profiler/chain.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::profiler {

/// Longest chain of a sample: the event's.
inline constexpr size_t most_in_chain = 64;

enum class sample_end : uint8_t {
    off,  ///< Nothing was looked at.
    lost, ///< There was no room: the buffer has counted it.
    written,
};

/// Writes the event `sample` of what the frame has interrupted, if that event is on. The chain lies
/// on this stack until then: half a KiB (x86-32: a quarter).
///
/// @context any, as walk_chain(), on a CPU that stays the same; mostly the handler of a periodic NMI
sample_end take_sample(const x86::trap_frame& frame, const chain_rules& rules);

} // namespace nmisafe::profiler
