// SPDX-License-Identifier: MIT
// What marker_bench compares.
#pragma once

#include "bench/technique.hpp"

namespace nmisafe::bench {

// plain_sites.cpp
extern const technique empty_loop;  ///< No sites at all.
extern const technique one_cycle;   ///< One cycle a site, as a control.
extern const technique plain_flag;  ///< A bool, loaded and tested.
extern const technique global_load; ///< A number, loaded.

// library_sites.cpp
extern const technique dormant_marker; ///< trace_mark
extern const technique loading_marker; ///< _trace_mark
extern const technique enabled_marker; ///< trace_mark with a probe that does nothing.
extern const technique immediate_read; ///< A number in the instruction.

/// Lets the library patch this program. False: the system does not.
bool allow_patching();

/// Turns enabled_marker on, to stay so. False: its markers are not there, or cannot be patched.
bool turn_enabled_on();

// lttng_sites.cpp
extern const technique lttng_tracepoint; ///< Of LTTng-UST, not enabled.

} // namespace nmisafe::bench
