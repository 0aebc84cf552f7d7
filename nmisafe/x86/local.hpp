// SPDX-License-Identifier: MIT
// Changes of this CPU's own words that an NMI finds done or not done, never half: one instruction
// each, also when the compiler does not optimise. No LOCK: not for words that another CPU changes.
// @context any, all of it.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::x86 {

[[gnu::always_inline]] inline void increment(uint32_t& word) {
    asm volatile("incl %[word]" : [word] "+m"(word) : : "cc");
}

[[gnu::always_inline]] inline void decrement(uint32_t& word) {
    asm volatile("decl %[word]" : [word] "+m"(word) : : "cc");
}

} // namespace nmisafe::x86
