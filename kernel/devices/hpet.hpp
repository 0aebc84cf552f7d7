// SPDX-License-Identifier: MIT
// The HPET: the clock, and a one-shot that raises an NMI or an interrupt. [HPET 1.0a, 2.3]
#pragma once

#include "kernel/memory/pages.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

namespace hpet {

extern uintptr_t base; // physical

[[gnu::always_inline]] inline volatile uint32_t& counter() {
    return *device_register(base + 0x0f0);
}
[[gnu::always_inline]] inline volatile uint32_t& comparator() {
    return *device_register(base + 0x108);
}

} // namespace hpet

/// Starts the counter. `address` is physical, 0 takes the customary one. Panics if no HPET answers.
/// @context boot, once
void set_up_hpet(uintptr_t address);

/// The low word of the counter. @context any
[[gnu::always_inline]] inline uint32_t ticks() {
    return hpet::counter();
}

/// Sets the counter back to 0, and takes the one-shot out of use: to be set up again. Nobody may be
/// waiting for a time. @context thread
void restart_counter();

/// The length of a tick in femtoseconds. @context any
uint32_t tick_period();

/// Ticks in a microsecond, rounded down. @context any
uint32_t ticks_per_microsecond();

/// Waits. Below ten seconds or so: the counter's low word must not wrap twice. @context any
void delay_microseconds(uint32_t microseconds);

/// Lets the one-shot raise an NMI, or an interrupt, on a CPU. Silent until it is armed.
/// @context thread
void one_shot_set_up_nmi(uint32_t cpu_id);
void one_shot_set_up_interrupt(uint8_t vector, uint32_t cpu_id);

/// Fires the one-shot once, `distance` ticks from now. A fixed number of instructions, the store to
/// the comparator last. As a 32-bit timer it fires too when the counter comes round, after 2^32
/// ticks (43 s with QEMU's): see restart_counter(). [HPET 2.3.9.2.1] @context any
[[gnu::always_inline]] inline void one_shot_arm(uint32_t distance) {
    hpet::comparator() = hpet::counter() + distance;
}

/// Keeps an armed one-shot from firing for 2^31 ticks (21 s with QEMU's), or until the counter
/// comes round. @context any
[[gnu::always_inline]] inline void one_shot_disarm() {
    one_shot_arm(0x7fffffff);
}

/// Takes the one-shot out of use for good, or until the next set-up. @context thread
void one_shot_shut_down();

} // namespace kernel
