// SPDX-License-Identifier: MIT
// The immediate values that the patching experiments toggle, and what every execution of their
// sites must come to: the value before or after.
#pragma once

#include "kernel/experiments/shared/shared_word.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

// No byte of the one is in the other, and none is INT3.
inline constexpr uint32_t value_a = 0x11223344;
inline constexpr uint32_t value_b = 0x556677aa;

extern nmisafe::immediate::immediate<uint32_t, value_a> patched_value;
extern nmisafe::immediate::immediate<bool> patched_branch;

/// What one execution of the sites saw.
struct sites_seen {
    uint32_t value;
    bool branch;
};

/// Executes one site of each key. Not inlined: it is one site for all contexts. @context any
sites_seen execute_sites();

/// Whether it is a value a site may ever have. @context any
bool is_sound(const sites_seen& seen);

/// Gives the immediate module its workspace and makes #BP its handler's, hits counted by context.
/// After set_scene(). @context thread
void set_up_patching();

/// The handler that set_up_patching() has set, for one around it. @context any
bool on_patched_site(nmisafe::x86::trap_frame& frame);

/// Lets another thread set `patched_value` to value_b, and stops it in the middle: when the site holds INT3, and that
/// stands for `at`. Interrupts are off before and after. @context thread, CPU 0
void begin_stopped_patch(uint32_t at);

/// Lets it go on, to its end. False if the patcher has refused. @context thread, CPU 0
bool end_stopped_patch();

/// Breakpoints that the patcher's handler has taken care of, by the context that hit them.
extern shared_count hits_in_threads;
extern shared_count hits_in_interrupts;
extern shared_count hits_in_nmis;

} // namespace kernel
