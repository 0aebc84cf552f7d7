// SPDX-License-Identifier: MIT
// An NMI in the interrupt shadow of the return's STI.
//
// STI holds off maskable interrupts until the return behind it has run, but the manual leaves open
// whether it holds off NMIs too, and some CPUs and emulators do not. An NMI there would come back
// with IRET, IF=1 and no shadow, and an interrupt could then land on the return instruction and
// keep its stack. So the frame of such an NMI is taken back to the STI, with IF=0 as it was before.
// [intel/vol3 6.8.3, table 24-3]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

// The return instructions behind an STI in entry_x86_*.S.
extern "C" const char nmisafe_trap_near_shadowed[];
extern "C" const char nmisafe_trap_far_shadowed[];

namespace nmisafe::trap {

inline constexpr uintptr_t sti_length = 1;

/// For an entry of the embedder's own with return_alone in it: `shadowed` is the label given there.
/// To be called last of all in the handlers of NMI, #DB and #MC, once for each label.
/// @context nmi or an event like it, at the end of its handling.
[[NMISAFE_TRAP_INLINE]] inline void leave_interrupt_shadow(x86::trap_frame& frame,
                                                           const char* shadowed) {
    if (frame.ip != reinterpret_cast<uintptr_t>(shadowed)) [[likely]]
        return;
    // User mode may jump to any address: a step reports it before the instruction there is fetched.
    if ((frame.cs & X86_RPL_MASK) != 0 || !defended(NMISAFE_WITHOUT_REWIND))
        return;
    frame.ip -= sti_length;
    frame.flags &= ~decltype(frame.flags){X86_FLAGS_IF};
}

/// The same for the library's own returns. @context as above.
[[NMISAFE_TRAP_INLINE]] inline void leave_interrupt_shadow(x86::trap_frame& frame) {
    if (frame.ip != reinterpret_cast<uintptr_t>(nmisafe_trap_near_shadowed) &&
        frame.ip != reinterpret_cast<uintptr_t>(nmisafe_trap_far_shadowed)) [[likely]]
        return;
    leave_interrupt_shadow(frame, reinterpret_cast<const char*>(frame.ip));
}

} // namespace nmisafe::trap
