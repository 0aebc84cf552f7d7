// SPDX-License-Identifier: MIT
// A kernel's side of the platform contract, with the one mistake that EXPECT_ERROR picks. The
// variants are listed in contract.cpp.
#pragma once

#include "nmisafe/context/layouts.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"

namespace nmisafe::tracer {
struct cpu;
}

struct nmisafe_platform {
#if EXPECT_ERROR == 9
    using preempt_layout = nmisafe::context::layouts::one_nmi_bit<12, 0x4000'0000>; // old alpha
#else
    using preempt_layout = nmisafe::context::layouts::alpha;
#endif
#if EXPECT_ERROR == 8
    static int preempt_count(); // the sign bit would leak into every comparison
#elif EXPECT_ERROR != 1
    static uint32_t preempt_count();
#endif
#if EXPECT_ERROR != 2
    static void add_preempt_count(uint32_t delta);
#endif
#if EXPECT_ERROR != 3
    static nmisafe::platform::cpu_state& this_cpu();
#endif
#if EXPECT_ERROR != 4
    [[noreturn]] static void panic(const nmisafe::platform::failure& why);
#endif
    static void lock_checker_off();
#if EXPECT_ERROR != 5
    static void lock_checker_on();
#endif
#if EXPECT_ERROR != 6
    static void irq_enter_accounting();
#endif
    static void irq_exit_accounting();
#if EXPECT_ERROR == 7
    static void capture_return(uintptr_t ip);
#else
    static void capture_return(const nmisafe::platform::return_image& image);
#endif
#if EXPECT_ERROR == 10
    static bool end_section(uint32_t delta);
#else
    static void end_section(uint32_t delta);
#endif
#if EXPECT_ERROR == 11
    struct frame { // and no layout of it
        uintptr_t ip;
    };
#endif
    static nmisafe::tracer::cpu& tracer_cpu();
};
