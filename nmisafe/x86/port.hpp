// SPDX-License-Identifier: MIT
// Port input and output, one function per instruction. @context any, CPL 0.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

[[NMISAFE_TRAP_INLINE]] inline void out8(uint16_t port, uint8_t value) {
    asm volatile("outb %[value], %[port]" : : [value] "a"(value), [port] "Nd"(port));
}

[[NMISAFE_TRAP_INLINE]] inline uint8_t in8(uint16_t port) {
    uint8_t value;
    asm volatile("inb %[port], %[value]" : [value] "=a"(value) : [port] "Nd"(port));
    return value;
}

} // namespace nmisafe::x86
