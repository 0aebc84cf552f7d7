// SPDX-License-Identifier: MIT
// What this kernel tells the library: two CPUs, which GS finds; code that is writable where it stands; interrupts by which
// one CPU makes the other synchronise.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/registers.hpp"

[[noreturn]] void panic(const char* what);
extern "C" const uint8_t start[], etext[]; // boot.S; the linker

namespace nmisafe::tracer {
struct cpu;
}

struct per_cpu {
    per_cpu* self; // at GS:0
    uint32_t preempt_count;
    nmisafe::user::cpu_words user;
    nmisafe::platform::cpu_state nmisafe;
    nmisafe::tracer::cpu* tracer;
    uint32_t id;
};
static_assert(offsetof(per_cpu, user) == NMISAFE_USER_CPU);

[[NMISAFE_TRAP_INLINE]] inline per_cpu& this_per_cpu() {
    per_cpu* self;
    asm volatile("mov %%gs:0, %[self]" : [self] "=r"(self));
    return *self;
}

void synchronise_cpus(); // kernel.cpp

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
        return this_per_cpu().nmisafe;
    }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) { ::panic(why.what); }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::tracer::cpu& tracer_cpu() {
        return *this_per_cpu().tracer;
    }

    static constexpr bool writes_text_twice = true; // for QEMU, with several CPUs
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
            reinterpret_cast<volatile uint8_t*>(address)[i] = bytes[i];
    }
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
            bytes[i] = reinterpret_cast<const volatile uint8_t*>(address)[i];
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return begin >= reinterpret_cast<uintptr_t>(start) &&
               end <= reinterpret_cast<uintptr_t>(etext);
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_no_probe(uintptr_t, uintptr_t) {
        return false; // all that must not be patched is in nmisafe_trap_text
    }
    /// Here interrupts are on in threads alone, never in a handler.
    static bool may_synchronise() { return (nmisafe::x86::read_flags() & X86_FLAGS_IF) != 0; }
    static void synchronise_cpus() { ::synchronise_cpus(); }
    /// Who takes an interrupt is in no section: all that raise the count have interrupts off here.
    static void wait_for_grace_period() { ::synchronise_cpus(); }
};
