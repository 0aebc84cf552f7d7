// SPDX-License-Identifier: MIT
// The #BP handler of a kernel that patches its text and has probes in it.
#pragma once

#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// For trap::set_handler(X86_VECTOR_BP, ...). The patcher is asked first. @context any
bool on_patched_breakpoint(nmisafe::x86::trap_frame& frame);

/// For trap::set_breakpoint_dispatch(): hits of sites that are being patched go no further.
/// @context any
[[NMISAFE_ASSEMBLY_CALL]] uint32_t dispatch_patched_breakpoint(nmisafe::x86::trap_frame* frame);

} // namespace kernel
