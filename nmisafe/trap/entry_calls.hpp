// SPDX-License-Identifier: MIT
// The functions that the entry and return code calls.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::trap {

extern "C" {

/// Each returns how to return: a value of return_kind.h. @context any; IF=0
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_trap_dispatch(x86::trap_frame* frame);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_trap_dispatch_page_fault(x86::trap_frame* frame);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_trap_dispatch_nmi_like(x86::trap_frame* frame);

/// @context nmi
[[NMISAFE_ASSEMBLY_CALL]] void nmisafe_trap_nmi(x86::trap_frame* frame);

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// The words that a return path is about to load. @context any
[[NMISAFE_ASSEMBLY_CALL]] void nmisafe_trap_captured(uintptr_t ip, uintptr_t cs, uintptr_t flags);
#endif
}

} // namespace nmisafe::trap
