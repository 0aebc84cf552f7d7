// SPDX-License-Identifier: MIT
// The contract of docs/guides/add_to_a_kernel.md, for all of its shapes: GS finds the CPU.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include <per_cpu.hpp>

[[noreturn]] void panic(const char* what, uintptr_t value);

struct nmisafe_platform {
    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        uint32_t count;
        asm volatile("movl %%gs:%c[at], %[count]"
                     : [count] "=r"(count)
                     : [at] "i"(offsetof(per_cpu, preempt_count)));
        return count;
    }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %%gs:%c[at]"
                     :
                     : [delta] "ri"(delta), [at] "i"(offsetof(per_cpu, preempt_count))
                     : "memory", "cc");
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() {
        per_cpu* self;
        asm volatile("mov %%gs:0, %[self]" : [self] "=r"(self));
        return self->nmisafe;
    }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        ::panic(why.what, why.value);
    }
};
