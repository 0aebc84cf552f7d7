// SPDX-License-Identifier: MIT
// The handlers that were set, for the module user, which calls them for events in user mode.
#pragma once

#include "nmisafe/trap/trap.hpp"

namespace nmisafe::trap::internal {

extern handler handlers[X86_VECTORS];
extern page_fault_handler on_page_fault;

} // namespace nmisafe::trap::internal
