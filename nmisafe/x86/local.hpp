// SPDX-License-Identifier: MIT
// Changes of this CPU's own words that an NMI finds done or not done, never half: one instruction
// each, also when the compiler does not optimise. No LOCK: not for words that another CPU changes.
// @context any, all of it.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

[[NMISAFE_TRAP_INLINE]] inline void increment(uint32_t& word) {
    asm volatile("incl %[word]" : [word] "+m"(word) : : "cc");
}

[[NMISAFE_TRAP_INLINE]] inline void decrement(uint32_t& word) {
    asm volatile("decl %[word]" : [word] "+m"(word) : : "cc");
}

} // namespace nmisafe::x86
