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

/// The same up to the return, for who plans its own. @context any; IF=0
void nmisafe_trap_handle_nmi_like(x86::trap_frame* frame);

/// x86-32: where the latch of this run lies, or a value of nmi_latch.h if the handler did not run.
#ifdef __x86_64__
using nmi_result = void;
#else
using nmi_result = uintptr_t;
#endif

/// @context nmi
[[NMISAFE_ASSEMBLY_CALL]] nmi_result nmisafe_trap_nmi(x86::trap_frame* frame);

#ifdef __x86_64__
/// A frame that cannot be gone back from, at a level of nmi_block.h. @context nmi
[[noreturn, NMISAFE_ASSEMBLY_CALL]] void nmisafe_trap_nmi_stop(const x86::trap_frame* frame,
                                                               uint32_t level);
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// The words that a return path is about to load. @context any
[[NMISAFE_ASSEMBLY_CALL]] void nmisafe_trap_captured(uintptr_t ip, uintptr_t cs, uintptr_t flags);
#endif
}

} // namespace nmisafe::trap
