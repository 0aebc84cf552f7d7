// SPDX-License-Identifier: MIT
#include "nmisafe/module_loader/exports.hpp"
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

// Which the inline functions of the contract use, in modules too.
NMISAFE_EXPORT_SYMBOL(kernel::note_end_of_section);
#ifdef NMISAFE_TRAP_CONTROLS
NMISAFE_EXPORT_SYMBOL(kernel::removed_defences);
#endif
