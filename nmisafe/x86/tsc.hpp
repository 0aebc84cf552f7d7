// SPDX-License-Identifier: MIT
// The time-stamp counter, and what CPUID says of it.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

/// On one CPU each reading is above the ones before. Other instructions may pass it.
/// [intel/vol3 18.17]
///
/// @context any @faults #UD on a CPU without it; #GP in ring 3 with CR4.TSD
[[NMISAFE_TRAP_INLINE]] inline uint64_t read_tsc() {
    uint32_t low;
    uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return uint64_t{high} << 32 | low;
}

struct cpuid_result {
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
};

/// What the leaf says; 0 of a leaf that this CPU does not have.
/// @context any @faults never, but on a 486
[[NMISAFE_TRAP_INLINE]] inline cpuid_result cpuid(uint32_t leaf) {
    constexpr uint32_t kind = 0x8000'0000; // each kind's first leaf says which is its last
    cpuid_result result{leaf & kind, 0, 0, 0};
    asm volatile("cpuid" : "+a"(result.a), "=b"(result.b), "+c"(result.c), "=d"(result.d));
    if (result.a < leaf)
        return {};
    result.a = leaf;
    result.c = 0;
    asm volatile("cpuid" : "+a"(result.a), "=b"(result.b), "+c"(result.c), "=d"(result.d));
    return result;
}

[[NMISAFE_TRAP_INLINE]] inline bool has_tsc() {
    return (cpuid(1).d >> 4 & 1) != 0;
}

/// Whether the counter's rate stays the same in all states of the CPU. [intel/vol3 18.17.1]
[[NMISAFE_TRAP_INLINE]] inline bool has_invariant_tsc() {
    return has_tsc() && (cpuid(0x8000'0007).d >> 8 & 1) != 0;
}

} // namespace nmisafe::x86
