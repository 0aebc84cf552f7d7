// SPDX-License-Identifier: MIT
// This kernel, as the library sees it: the platform contract fulfilled.
#pragma once

#include "kernel/core/panic.hpp"
#include "kernel/core/per_cpu.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"

namespace kernel {

#ifdef NMISAFE_TRAP_CONTROLS
/// Called, if set, in each NMI before it is counted and after it no longer is (the two windows in
/// which the count says nothing of an NMI). Null means no hook. The controls image only, so that
/// the NMI path of the others stays what a user of the library gets.
extern void (*nmi_window_hook)();
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// Called, if set, with the words of each NMI-safe return that is about to be taken. @context any
extern void (*return_hook)(const nmisafe::platform::return_image&);
#endif

} // namespace kernel

struct nmisafe_platform {
    // GS-relative and one instruction, so that an NMI sees the count before or after, and nothing
    // between. No LOCK: only the own CPU changes it.
    [[gnu::always_inline]] static uint32_t preempt_count() {
        uint32_t count;
        asm volatile("movl %%gs:%c[offset], %[count]"
                     : [count] "=r"(count)
                     : [offset] "i"(CPU_PREEMPT_COUNT));
        return count;
    }
    [[gnu::always_inline]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %%gs:%c[offset]"
                     :
                     : [delta] "ri"(delta), [offset] "i"(CPU_PREEMPT_COUNT)
                     : "memory", "cc");
    }

    [[gnu::always_inline]] static nmisafe::platform::cpu_state& this_cpu() {
        return kernel::this_cpu().nmisafe;
    }

    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        kernel::panic(why.what, why.frame, why.value);
    }

#ifdef NMISAFE_TRAP_CONTROLS
    static void lock_checker_off() {
        kernel::this_cpu().lock_checker_off += 1;
        if (kernel::nmi_window_hook != nullptr)
            kernel::nmi_window_hook();
    }
    static void lock_checker_on() {
        if (kernel::nmi_window_hook != nullptr)
            kernel::nmi_window_hook();
        kernel::this_cpu().lock_checker_off -= 1;
    }
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
    static void capture_return(const nmisafe::platform::return_image& image) {
        if (kernel::return_hook != nullptr)
            kernel::return_hook(image);
    }
#endif
};
