// SPDX-License-Identifier: MIT
/// A load that may fault: it then says so, and nothing else happens.
///
/// The handlers of page faults and #GP ask handle_fault(), last of all. In an NMI this takes a
/// return from the fault that leaves NMIs blocked, as module trap's is.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

// guarded_load_x86_*.S
extern "C" [[NMISAFE_ASSEMBLY_CALL]] bool nmisafe_profiler_load(uintptr_t address, uintptr_t* to);

namespace nmisafe::profiler {

/// Loads a word. False: it faulted, and `to` is as it was. The access itself may be to anything:
/// whether reading there has an effect (a device's registers) is the caller's business.
/// @context any whose page faults and #GP come to handle_fault(), NMI included @locks none
inline bool guarded_load(uintptr_t address, uintptr_t& to) {
    return nmisafe_profiler_load(address, &to);
}

/// For the handlers of page faults and, on x86-64, of #GP (an address that is not canonical), when
/// nobody else has resolved the fault: true if it was a guarded_load(), which then returns false.
///
/// By the address of the instruction alone, so nothing of the program's data is believed. It
/// stands, with the load, where no probe may be.
/// @context any
bool handle_fault(x86::trap_frame& frame);

} // namespace nmisafe::profiler
