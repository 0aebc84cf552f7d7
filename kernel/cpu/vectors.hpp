// SPDX-License-Identifier: MIT
// The vectors of this kernel's interrupts.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Vectors of this kernel. 0x40 to 0xdf are the experiments'.
enum class vector : uint8_t {
    /// User mode's: experiments leave it alone once use_user_entries() was called.
    system_call = 0x80,
    legacy = 0x20, ///< To 0x2f: what the old interrupt controllers would raise. Masked, ignored.
    wake = 0xe0,   ///< Another CPU has work for this one.
    tick = 0xe1,
    synchronise = 0xe2,  ///< Code has changed (smp/code.hpp).
    grace_period = 0xe3, ///< Another CPU waits for one (smp/grace_period.hpp).
    flush_tlb = 0xe4,    ///< Mappings have gone (smp/tlb.hpp).
    spurious = 0xff,
};

inline constexpr uint8_t first_experiment_vector = 0x40;

} // namespace kernel
