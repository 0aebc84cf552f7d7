// SPDX-License-Identifier: MIT
// Which way a trap returns: a pure function of the frame and a few facts about this CPU, so that
// every case can be tested on any host. Inlined at -O0 too, into code that no probe may touch.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/x86/flags.h"

namespace nmisafe::trap {

enum class return_kind : uint32_t {
    iret = NMISAFE_RETURN_IRET,
    near = NMISAFE_RETURN_NEAR,
    near_sti = NMISAFE_RETURN_NEAR_STI,
    far = NMISAFE_RETURN_FAR,
    far_sti = NMISAFE_RETURN_FAR_STI,
};

/// Why an image needs IRET; cpu_state::last_iret_reason holds the latest.
enum class iret_reason : uint32_t {
    none = 0,          ///< Plain: POPF and a return restore it.
    other_segment = 1, ///< Another CS: another privilege level or width.
    trap_flag = 2,     ///< TF: after POPF it would trap on the target before its first instruction.
    nested_task = 3,   ///< NT.
    virtual_8086 = 4,  ///< VM: POPF never sets it. x86-32 only.
    resume_flag = 5,   ///< RF, and an instruction breakpoint is armed: POPF clears RF.
    corrupt = 6,       ///< No image a CPU pushes: do not return at all.
    user_stack = 7,    ///< Ring 0 with the user's stack pointer: nothing may be written below it.
};

/// Bits that a plain image has as they are in X86_FLAGS_FIXED; all others may be anything.
inline constexpr uintptr_t decided_flags =
    X86_FLAGS_TF | X86_FLAGS_NT | X86_FLAGS_VM | X86_FLAGS_FIXED | ~uintptr_t{X86_FLAGS_KNOWN};

/// True when POPF and a near return restore this image, RF aside. One test for the common case.
[[NMISAFE_TRAP_INLINE]] constexpr bool is_plain(uintptr_t flags, uintptr_t cs, uint16_t current_cs,
                                                uintptr_t decided = decided_flags) {
    return ((flags ^ X86_FLAGS_FIXED) & decided) == 0 && static_cast<uint16_t>(cs) == current_cs;
}

/// Says why an image is not plain.
/// `long_mode`: VM is no bit that the CPU can have pushed.
[[NMISAFE_TRAP_INLINE]] constexpr iret_reason
why_not_plain(uintptr_t flags, uintptr_t cs, uint16_t current_cs,
              bool long_mode = sizeof(uintptr_t) == 8) {
    const auto selector = static_cast<uint16_t>(cs);
    const auto level = static_cast<uint16_t>(selector & X86_RPL_MASK);
    if ((flags & ~uintptr_t{X86_FLAGS_KNOWN}) != 0 || (flags & X86_FLAGS_FIXED) == 0)
        return iret_reason::corrupt;
    if ((flags & X86_FLAGS_VM) != 0)
        // CS is then a real-mode segment, not a selector.
        return long_mode ? iret_reason::corrupt : iret_reason::virtual_8086;
    // Rings 1 and 2 are nobody's, and a null selector is not code.
    if (level == 1 || level == 2 || selector == level)
        return iret_reason::corrupt;
    if (selector != current_cs)
        return iret_reason::other_segment;
    if ((flags & X86_FLAGS_TF) != 0)
        return iret_reason::trap_flag;
    if ((flags & X86_FLAGS_NT) != 0)
        return iret_reason::nested_task;
    return iret_reason::none;
}

/// Whether DR7 holds an enabled instruction breakpoint: then an RF in an image must survive, or the
/// breakpoint it was to pass is hit again. Every page-fault image has RF=1, so RF alone says
/// nothing. [intel/vol3 17.2.4, 17.3.1.1]
[[NMISAFE_TRAP_INLINE]] constexpr bool is_instruction_breakpoint(uintptr_t debug_control,
                                                                 unsigned number) {
    const bool enabled = (debug_control >> (2 * number) & 3) != 0;
    const bool on_execution = (debug_control >> (16 + 4 * number) & 3) == 0;
    return enabled && on_execution;
}

[[NMISAFE_TRAP_INLINE]] constexpr bool instruction_breakpoint_armed(uintptr_t debug_control) {
    if ((debug_control & X86_DR7_ENABLE_ALL) == 0) [[likely]]
        return false;
    for (unsigned number = 0; number < 4; ++number)
        if (is_instruction_breakpoint(debug_control, number))
            return true;
    return false;
}

/// The return for a plain image under a policy. `counted_in_nmi`: the preempt count's NMI field is
/// set.
[[NMISAFE_TRAP_INLINE]] constexpr return_kind plain_return(return_policy policy, uintptr_t flags,
                                                           bool counted_in_nmi) {
    const bool interrupts = (flags & X86_FLAGS_IF) != 0;
    if (policy == return_policy::near) [[likely]]
        return interrupts ? return_kind::near_sti : return_kind::near;
    if (policy == return_policy::far || (policy == return_policy::far_nmi_count && counted_in_nmi))
        return interrupts ? return_kind::far_sti : return_kind::far;
    return return_kind::iret;
}

} // namespace nmisafe::trap
