// SPDX-License-Identifier: MIT
// What a CPU does when code has changed.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

/// Makes this CPU fetch anew what it executes from here on. What each CPU does
/// in the platform's synchronise_cpus().
///
/// CPUID, because it is serializing at any privilege level and leaves everything but four registers
/// alone. IRET, which other kernels take, would unblock NMIs if this ran inside one; moving to CR2
/// would spoil it. In a virtual machine CPUID exits to the hypervisor, which blocks NMIs no less.
/// [intel/vol3 8.3, 6.7.1]
///
/// @context any, NMI included. @faults never
[[NMISAFE_TRAP_INLINE]] inline void serialize_core() {
    uint32_t leaf = 0;
    uint32_t subleaf = 0;
    asm volatile("cpuid" : "+a"(leaf), "+c"(subleaf) : : "ebx", "edx", "memory");
}

} // namespace nmisafe::x86
