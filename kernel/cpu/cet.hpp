// SPDX-License-Identifier: MIT
// Supervisor shadow stacks and indirect branch tracking, where the option cet= asks for them and
// the image is built for them. x86-64 only.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

#ifdef NMISAFE_SHADOW_STACK
inline constexpr bool image_has_shadow_stacks = true;
#else
inline constexpr bool image_has_shadow_stacks = false;
#endif

#if defined __CET__ && (__CET__ & 1)

namespace internal {
extern uint32_t cet_control; // bits of IA32_S_CET
void prepare_cet(const cpu& mine);
} // namespace internal

/// Chooses for all CPUs. False if this one lacks what is asked for. @context boot, first CPU
bool choose_cet(bool shadow_stacks, bool branch_tracking);

/// Whether every stack needs a shadow stack. @context any
inline bool uses_shadow_stacks() {
    return image_has_shadow_stacks && (internal::cet_control & X86_S_CET_SHADOW_STACKS) != 0;
}

/// Turns on what was chosen, on the CPU that runs this. What has been called until then has no
/// return address on the shadow stack: so this is inlined, into a function that never returns.
/// @context boot of that CPU, no event can be delivered to it
[[gnu::always_inline]] inline void start_cet(const cpu& mine) {
    if (internal::cet_control == 0)
        return;
    internal::prepare_cet(mine);
    const uint32_t with_shadow_stacks =
        internal::cet_control & ~uint32_t{X86_S_CET_BRANCH_TRACKING};
    if (uses_shadow_stacks())
        asm volatile("wrmsr\n\tsetssbsy"
                     :
                     : "c"(X86_MSR_S_CET), "a"(with_shadow_stacks), "d"(0)
                     : "memory");
    nmisafe::x86::write_msr(X86_MSR_S_CET, internal::cet_control);
}

#else

constexpr bool uses_shadow_stacks() {
    return false;
}
inline void start_cet(const cpu&) {}

#endif

} // namespace kernel
