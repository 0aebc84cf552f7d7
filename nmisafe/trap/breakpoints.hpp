// SPDX-License-Identifier: MIT
// The debug registers in NMI, #DB and #MC: one rule for the three.
//
//   - First of all, before any hook of the platform's, DR7 is disarmed. A hit in one of them would
//     be a #DB, which begins its IST stack again, over the frame of a #DB that may be in progress.
//   - Inside, set_debug_control() changes the shadow alone.
//   - Last of all, when no other is in progress, DR7 is loaded from the shadow.
//
// With none armed no RF matters either, so page faults in there stay on the safe return.
//
// The shadow is what DR7 is to be. They differ while one of the three is in progress, and in
// between set_debug_control()'s store of the one and its load of the other. A breakpoint that is
// hit there makes them equal, by the last step above; so no return that looks at the shadow loses
// an RF that matters.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::trap {

/// Whether an NMI, #DB or #MC is in progress here. @context any
[[NMISAFE_TRAP_INLINE]] inline bool breakpoints_are_off(const platform::cpu_state& cpu) {
    return (cpu.nmi_in_progress | cpu.nmi_like_in_progress) != 0;
}

/// The first step, once the event is counted: whether any was armed. @context nmi or like it
[[NMISAFE_TRAP_INLINE]] inline bool disarm_breakpoints() {
    if ((x86::read_dr7() & X86_DR7_ENABLE_ALL) == 0 || !defended(NMISAFE_WITHOUT_DR7)) [[likely]]
        return false;
    x86::write_dr7(X86_DR7_DISARMED);
    return true;
}

/// Makes DR7 what the shadow says. An NMI, #DB or #MC that lands after the shadow has been read may
/// have changed it, and loaded DR7 with that.
[[NMISAFE_TRAP_INLINE]] inline void load_debug_control(const platform::cpu_state& cpu) {
    uintptr_t value;
    do {
        value = cpu.debug_control;
        x86::write_dr7(value);
    } while (cpu.debug_control != value);
}

/// The last step, once the event is no longer counted. @context nmi or like it
[[NMISAFE_TRAP_INLINE]] inline void rearm_breakpoints(const platform::cpu_state& cpu,
                                                      bool were_armed) {
    // What an event that still found this one counted has set must be seen here.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const bool are_due = were_armed || (cpu.debug_control & X86_DR7_ENABLE_ALL) != 0;
    if (are_due && defended(NMISAFE_WITHOUT_DR7) && !breakpoints_are_off(cpu)) [[unlikely]]
        load_debug_control(cpu);
}

} // namespace nmisafe::trap
