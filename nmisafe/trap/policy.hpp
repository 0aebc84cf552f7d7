// SPDX-License-Identifier: MIT
// The return policy: how a plain kernel-to-kernel exception return goes back.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::trap {

enum class return_policy : uint8_t {
    iret,          ///< Always IRET: what other kernels do, here the control that fails.
    far,           ///< popf + far return: the RFC's instructions; the one for CET shadow stacks.
    near,          ///< popf + near return: no descriptor load. The default.
    far_nmi_count, ///< far, but only while the preempt count's NMI field is set: the RFC's test.
};

// Chosen at build time by -DNMISAFE_TRAP_POLICY=near (or another name above), else at boot.
#ifdef NMISAFE_TRAP_POLICY
[[NMISAFE_TRAP_INLINE]] constexpr return_policy current_policy() {
    return return_policy::NMISAFE_TRAP_POLICY;
}
#else
namespace internal {
extern return_policy boot_policy;
}

[[NMISAFE_TRAP_INLINE]] inline return_policy current_policy() {
    return internal::boot_policy;
}

/// Chooses the policy. @context thread, once, before a second CPU or an NMI source is started: a
/// change under way would be seen by some returns and not by others.
inline void set_return_policy(return_policy policy) {
    internal::boot_policy = policy;
}
#endif

#if defined(NMISAFE_SHADOW_STACK) && !defined(__x86_64__)
#error "NMISAFE_SHADOW_STACK: shadow stacks are supported on x86-64 only"
#endif

// At the end of a return CR3 may be the user's, whose tables have no C++.
#if defined(NMISAFE_TRAP_RETURN_CAPTURE) && defined(NMISAFE_PAGE_TABLE_ISOLATION)
#error "NMISAFE_TRAP_RETURN_CAPTURE: not with NMISAFE_PAGE_TABLE_ISOLATION"
#endif

/// The policy for this return. On a shadow stack `far` takes the place of `near`: a near return
/// pops one word there, and would have to write it first, so that it compared nothing but its own
/// writing (decision 12). @context any
[[NMISAFE_TRAP_INLINE]] inline return_policy fitting_policy() {
#ifdef NMISAFE_SHADOW_STACK
    if (current_policy() == return_policy::near && x86::read_ssp() != 0 &&
        defended(NMISAFE_WITHOUT_SHADOW_FAR))
        return return_policy::far;
#endif
    return current_policy();
}

} // namespace nmisafe::trap
