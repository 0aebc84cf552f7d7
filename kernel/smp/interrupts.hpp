// SPDX-License-Identifier: MIT
// Interrupts from devices and other CPUs: what all their handlers begin and end with.
#pragma once

namespace kernel {

/// Masks the old interrupt controllers, stops the PIT, and sets the handlers of vectors.hpp.
/// @context boot, once
void set_up_interrupts();

/// Ends an interrupt handler that began with context::irq_enter(): EOI, irq_exit(), and if a
/// reschedule is due and nothing forbids it, runs other threads before it returns. @context irq
void finish_interrupt();

} // namespace kernel
