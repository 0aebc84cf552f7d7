// SPDX-License-Identifier: MIT
// The handlers that were set, also for the module user, which calls them for events in user mode.
#pragma once

#include "nmisafe/trap/trap.hpp"

namespace nmisafe::trap::internal {

extern handler handlers[X86_VECTORS];
extern page_fault_handler on_page_fault;

/// What an NMI calls: the handler that was set, or run_debugged(), which calls it then.
extern nmi_handler on_nmi;
extern nmi_handler debugged_handler;

} // namespace nmisafe::trap::internal
