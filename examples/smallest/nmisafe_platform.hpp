// SPDX-License-Identifier: MIT
// What this kernel tells the library: one CPU, and how it stops.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"

[[noreturn]] void panic(const char* what);

struct nmisafe_platform {
    static inline uint32_t count;
    static inline nmisafe::platform::cpu_state cpu;

    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        return *static_cast<const volatile uint32_t*>(&count);
    }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %[count]" : [count] "+m"(count) : [delta] "ri"(delta) : "cc");
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() { return cpu; }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) { ::panic(why.what); }
};
