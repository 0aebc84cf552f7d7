// SPDX-License-Identifier: MIT
// Interrupts from devices and other CPUs: vectors, and what all their handlers begin and end with.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Vectors of this kernel. 0x40 to 0xdf are the experiments'.
enum class vector : uint8_t {
    legacy = 0x20, ///< To 0x2f: what the old interrupt controllers would raise. Masked, ignored.
    wake = 0xe0,   ///< Another CPU has work for this one.
    tick = 0xe1,
    synchronise = 0xe2,  ///< Code has changed (core/code.hpp).
    grace_period = 0xe3, ///< Another CPU waits for one (core/grace_period.hpp).
    flush_tlb = 0xe4,    ///< Mappings have gone (core/tlb.hpp).
    spurious = 0xff,
};

inline constexpr uint8_t first_experiment_vector = 0x40;

/// Masks the old interrupt controllers, stops the PIT, and sets the handlers of the vectors above.
/// @context boot, once
void set_up_interrupts();

/// Ends an interrupt handler that began with context::irq_enter(): EOI, irq_exit(), and if a
/// reschedule is due and nothing forbids it, runs other threads before it returns. @context irq
void finish_interrupt();

} // namespace kernel
