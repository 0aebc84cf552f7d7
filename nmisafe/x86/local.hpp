// SPDX-License-Identifier: MIT
// Changes of this CPU's own words that an NMI finds done or not done, never half: one instruction
// each, also when the compiler does not optimise. No LOCK: not for words that another CPU changes.
//
// With ThreadSanitizer, which sees no assembly, they are the compiler's atomics in relaxed order:
// then it knows of them, and that they order nothing.
// @context any, all of it.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

#if defined(__SANITIZE_THREAD__)
#define NMISAFE_LOCAL_BY_ATOMICS
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NMISAFE_LOCAL_BY_ATOMICS
#endif
#endif

#ifdef NMISAFE_LOCAL_BY_ATOMICS

[[NMISAFE_TRAP_INLINE]] inline void increment(uint32_t& word) {
    __atomic_fetch_add(&word, 1, __ATOMIC_RELAXED);
}

[[NMISAFE_TRAP_INLINE]] inline void decrement(uint32_t& word) {
    __atomic_fetch_sub(&word, 1, __ATOMIC_RELAXED);
}

[[NMISAFE_TRAP_INLINE]] inline uint32_t compare_exchange(uint32_t& word, uint32_t expected,
                                                         uint32_t desired) {
    __atomic_compare_exchange_n(&word, &expected, desired, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    // It has an address for something else too: g++ makes an instruction of its own of an exchange
    // in a function that is not instrumented, and keeps that where the function is inlined.
    asm volatile("" : "+m"(expected));
    return expected;
}

[[NMISAFE_TRAP_INLINE]] inline uint32_t add_fetch(uint32_t& word, uint32_t delta) {
    return __atomic_fetch_add(&word, delta, __ATOMIC_RELAXED) + delta;
}

#else

[[NMISAFE_TRAP_INLINE]] inline void increment(uint32_t& word) {
    asm volatile("incl %[word]" : [word] "+m"(word) : : "cc");
}

[[NMISAFE_TRAP_INLINE]] inline void decrement(uint32_t& word) {
    asm volatile("decl %[word]" : [word] "+m"(word) : : "cc");
}

/// Replaces `expected` by `desired` if the word holds it.
/// @return what the word held: `expected` says that it was replaced.
[[NMISAFE_TRAP_INLINE]] inline uint32_t compare_exchange(uint32_t& word, uint32_t expected,
                                                         uint32_t desired) {
    asm volatile("cmpxchgl %[desired], %[word]"
                 : [word] "+m"(word), "+a"(expected)
                 : [desired] "r"(desired)
                 : "memory", "cc");
    return expected;
}

/// @return what the word holds with `delta` added.
[[NMISAFE_TRAP_INLINE]] inline uint32_t add_fetch(uint32_t& word, uint32_t delta) {
    uint32_t sum = delta;
    asm volatile("xaddl %[sum], %[word]" : [word] "+m"(word), [sum] "+r"(sum) : : "memory", "cc");
    return sum + delta;
}

#endif

} // namespace nmisafe::x86
