// SPDX-License-Identifier: MIT
// Which way a frame goes back to user mode, or why it does not: pure functions, as those of
// trap/return_plan.hpp.
//
// What is refused here is what a return would do without a fault, or only on some CPUs, and must
// not: go to ring 0, leave interrupts off, give away I/O, cut the kernel's RSP into 16-bit pieces.
// What makes the return itself fault is found out by returning: the entry code makes the fault the
// task's.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/user/layout.h"
#include "nmisafe/x86/flags.h"

namespace nmisafe::user {

/// What the dispatch hands back to the entry code in EAX.
enum class return_kind : uint32_t {
    iret = 0,
    fast = 1, ///< SYSRET, SYSEXIT.
};

/// Why an image is none of the user's.
enum class refusal : uint8_t {
    none = 0,
    code_level,    ///< CS is not of ring 3.
    stack_segment, ///< SS is not the user's: a 16-bit one would lose half of the kernel's (E)SP.
    flags,         ///< IF clear, IOPL, VM, VIF, VIP or a bit that no CPU has.
};

/// The flags that user code may have as it likes. [intel/vol3 2.3]
inline constexpr uintptr_t user_flags = X86_FLAGS_CF | X86_FLAGS_PF | X86_FLAGS_AF | X86_FLAGS_ZF |
                                        X86_FLAGS_SF | X86_FLAGS_TF | X86_FLAGS_DF | X86_FLAGS_OF |
                                        X86_FLAGS_NT | X86_FLAGS_RF | X86_FLAGS_AC | X86_FLAGS_ID;

/// Those that it always has.
inline constexpr uintptr_t fixed_user_flags = X86_FLAGS_FIXED | X86_FLAGS_IF;

/// Makes flags that user code has chosen, in a signal's frame say, ones that it may have.
/// @context any
[[NMISAFE_TRAP_INLINE]] constexpr uintptr_t to_user_flags(uintptr_t chosen) {
    return (chosen & user_flags) | fixed_user_flags;
}

[[NMISAFE_TRAP_INLINE]] constexpr refusal why_refused(uintptr_t cs, uintptr_t ss, uintptr_t flags) {
    if ((cs & X86_RPL_MASK) != X86_RPL_MASK) [[unlikely]]
        return refusal::code_level;
    if (static_cast<uint16_t>(ss) != NMISAFE_USER_DATA_SELECTOR) [[unlikely]]
        return refusal::stack_segment;
    if ((flags & ~user_flags) != fixed_user_flags) [[unlikely]]
        return refusal::flags;
    return refusal::none;
}

/// For a frame that was not refused. `ip_register` and `flags_register` are what the fast return
/// takes IP and flags from: RCX and R11.
///
/// SYSRET to an address that is not canonical faults in ring 0, with the user's RSP and GS, on the
/// CPUs of one maker. With TF it traps after it, on some before the user's first instruction; RF it
/// cannot set. [intel/vol2 SYSRET]
[[NMISAFE_TRAP_INLINE]] constexpr bool
may_return_by_sysret(uint64_t ip, uint64_t cs, uint64_t flags, uint64_t ip_register,
                     uint64_t flags_register, bool check_canonical = true, bool check_step = true) {
    constexpr unsigned user_bits = 47; // as four-level paging has them; enough with five
    return ip_register == ip && flags_register == flags &&
           static_cast<uint16_t>(cs) == NMISAFE_USER_CODE_SELECTOR &&
           (ip >> user_bits == 0 || !check_canonical) &&
           ((flags & (X86_FLAGS_TF | X86_FLAGS_RF)) == 0 || !check_step);
}

/// The same of SYSEXIT, which takes EIP from EDX and ESP from ECX and leaves the flags to POPF:
/// that clears RF, and with TF it would trap before SYSEXIT. [intel/vol2 SYSEXIT]
[[NMISAFE_TRAP_INLINE]] constexpr bool may_return_by_sysexit(uint32_t ip, uint32_t sp, uint32_t cs,
                                                             uint32_t flags, uint32_t ip_register,
                                                             uint32_t sp_register,
                                                             bool check_step = true) {
    return ip_register == ip && sp_register == sp &&
           static_cast<uint16_t>(cs) == NMISAFE_USER_CODE_SELECTOR &&
           ((flags & (X86_FLAGS_TF | X86_FLAGS_RF | X86_FLAGS_NT)) == 0 || !check_step);
}

} // namespace nmisafe::user
