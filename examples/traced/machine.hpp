// SPDX-License-Identifier: MIT
// What this kernel has of a machine: QEMU's.
#pragma once

#include "nmisafe/x86/port.hpp"

void print(const char* text);
void print(const char* text, uint32_t number);
[[noreturn]] void stop(uint8_t code);

/// The local APIC's ICR, of the CPU that runs this. [intel/vol3 10.6.1]
inline void send(uint32_t to, uint32_t command) {
    *reinterpret_cast<volatile uint32_t*>(0xfee00310) = to << 24;
    *reinterpret_cast<volatile uint32_t*>(0xfee00300) = command;
}
inline constexpr uint32_t nmi_command = 0x4400, init_command = 0x4500, start_command = 0x4600;

inline void end_of_interrupt() {
    *reinterpret_cast<volatile uint32_t*>(0xfee000b0) = 0;
}
inline void enable_local_apic() {
    *reinterpret_cast<volatile uint32_t*>(0xfee000f0) = 0x1ff; // the spurious vector: 255
}

/// Nothing of the kernel's; the second CPU's handlers alone touch it.
inline constexpr uintptr_t faulting_page = 512 << 20;
void map_faulting_page(bool present);
