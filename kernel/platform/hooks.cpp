// SPDX-License-Identifier: MIT
#include "nmisafe/platform/contract.hpp"

namespace kernel {

#ifdef NMISAFE_TRAP_CONTROLS
void (*nmi_window_hook)() = nullptr;
void (*allocation_hook)() = nullptr;
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
void (*return_hook)(const nmisafe::platform::return_image&) = nullptr;
#endif

} // namespace kernel
