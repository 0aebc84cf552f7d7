// SPDX-License-Identifier: MIT
// The local APIC, in xAPIC mode: interrupts and NMIs between CPUs, and the tick. [intel/vol3 10]
#pragma once

#include "kernel/memory/pages.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

namespace local_apic {

inline constexpr uintptr_t address = 0xfee00000; // the reset value; nobody here moves it
inline constexpr uint32_t command_pending = 1 << 12;
inline constexpr uint32_t deliver_nmi = 4 << 8;
inline constexpr uint32_t level_assert = 1 << 14;

[[gnu::always_inline]] inline volatile uint32_t& id() {
    return *device_register(address + 0x020);
}
[[gnu::always_inline]] inline volatile uint32_t& command_low() {
    return *device_register(address + 0x300);
}
[[gnu::always_inline]] inline volatile uint32_t& command_high() {
    return *device_register(address + 0x310);
}

/// In an NMI handler: puts the target back that the interrupted code may be about to send a command
/// to. That takes two stores, and the NMI may have come between them.
class kept_target {
  public:
    kept_target() : target_(command_high()) {}
    ~kept_target() { command_high() = target_; }
    kept_target(const kept_target&) = delete;
    kept_target& operator=(const kept_target&) = delete;

  private:
    uint32_t target_;
};

} // namespace local_apic

/// This CPU's APIC ID, asked of the APIC itself. @context any
uint32_t local_apic_id();

/// Enables the local APIC of the CPU that runs this, everything masked. @context boot of that CPU
void set_up_local_apic();

/// Measures the timer of the local APICs against the HPET. @context boot, once
void calibrate_tick();

/// About a thousand interrupts a second on this CPU, which drive preemption; and no more.
/// @context thread
void start_tick();
void stop_tick();

/// Tells the local APIC that the interrupt at hand is over. @context irq
void end_of_interrupt();

/// Sends an NMI or an interrupt. @context any
void send_nmi(uint32_t cpu_id);
void send_interrupt(uint32_t cpu_id, uint8_t vector);

/// Sends an NMI to the CPU that runs this: by its own ID, the shorthand does only plain interrupts.
/// The command is the last instruction, so that the NMI is taken, or pended, as close behind as the
/// CPU can. @context any; in an NMI handler with a kept_target around it
[[gnu::always_inline]] inline void send_nmi_to_self() {
    const uint32_t self = local_apic::id() & 0xff000000;
    while ((local_apic::command_low() & local_apic::command_pending) != 0) {
    }
    local_apic::command_high() = self;
    local_apic::command_low() = local_apic::deliver_nmi | local_apic::level_assert;
}

/// What the start of another CPU takes. @context thread
void send_init(uint32_t apic_id);
void send_startup(uint32_t apic_id, uintptr_t physical);

/// An NMI, or INIT, to a CPU that is to stop. Nothing is asked of the CPU that runs this, GS least
/// of all. @context any, no return to normal work afterwards
void stop_by_nmi(uint32_t apic_id);
void stop_by_init(uint32_t apic_id);

} // namespace kernel
