// SPDX-License-Identifier: MIT
/// A short way through #BP, for a kernel whose code is full of breakpoints for a moment. It has a
/// function of its own in place of the library's dispatch:
///
///     [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
///     dispatch_breakpoint(x86::trap_frame* frame) {
///         return text_patch::handle_in_batch(*frame) ? trap::plan_breakpoint_return(*frame)
///                                                    : trap::nmisafe_trap_dispatch(frame);
///     }
///     trap::set_breakpoint_dispatch(dispatch_breakpoint);
///
/// So what is likely is inlined into the first function that the entry code calls, and the rest
/// goes on to the handler that set_handler() was given.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::trap {

/// The second half of nmisafe_trap_dispatch(): decides how to return. For those below.
extern "C" uint32_t nmisafe_trap_plan(const x86::trap_frame* frame);

/// Called by the entry code for each #BP, on the interrupted stack with IF=0, in any context: also
/// inside an NMI, and before it is counted. So it lies in nmisafe_trap_text with all it calls,
/// takes no lock, waits for nothing, and touches resident memory only. @return how to return, from
/// one of the functions here.
using breakpoint_dispatch = decltype(&nmisafe_trap_dispatch);

/// Makes #BP another dispatch's; nmisafe_trap_dispatch is the library's own. @context thread; as
/// set_handler().
void set_breakpoint_dispatch(breakpoint_dispatch function);

/// How to return from a #BP whose frame is as the CPU left it but for IP and general registers.
/// RF is clear in such a frame, and what is not plain, or not by the default policy, is seldom.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t plan_breakpoint_return(const x86::trap_frame& frame) {
    constexpr uint32_t seldom = X86_FLAGS_TF | X86_FLAGS_NT | X86_FLAGS_VM | X86_FLAGS_RF;
    const auto flags = static_cast<uint32_t>(frame.flags);
    if ((flags & seldom) != 0 || static_cast<uint16_t>(frame.cs) != x86::read_cs() ||
        fitting_policy() != return_policy::near || !defended(NMISAFE_WITHOUT_STI)) [[unlikely]]
        return nmisafe_trap_plan(&frame);
    x86::increment(platform::contract::this_cpu().safe_returns);
    static_assert(NMISAFE_RETURN_NEAR_STI == NMISAFE_RETURN_NEAR + 1);
    return NMISAFE_RETURN_NEAR + (flags / X86_FLAGS_IF & 1);
}

} // namespace nmisafe::trap
