// SPDX-License-Identifier: MIT
// The debug registers in NMI, #DB and #MC: one rule for the three.
//
//   - First of all, before any hook of the platform's, DR7 is disarmed. A hit in one of them would
//     be a #DB, which begins its IST stack again, over the frame of a #DB that may be in progress.
//   - Inside, set_debug_control() changes the shadow alone.
//   - An NMI's handler itself may have breakpoints of its own, if a kernel asks for them and no #DB or
//     #MC is in progress below (nmi_debug.hpp); a #DB or #MC in it takes them off and puts them back.
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

/// What DR7 is to be where no #DB or #MC is in progress: that of the thread, or of the NMI's
/// handler.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uintptr_t control_outside_debug(const platform::cpu_state& cpu) {
    const bool of_handler = cpu.nmi_handler_debugged != 0;
    if (cpu.nmi_in_progress != 0 && !of_handler && defended(NMISAFE_WITHOUT_DR7))
        return X86_DR7_DISARMED;
    return of_handler ? cpu.nmi_debug_control : cpu.debug_control;
}

/// What DR7 is to be now. @context any
[[NMISAFE_TRAP_INLINE]] inline uintptr_t due_control(const platform::cpu_state& cpu) {
    if (cpu.nmi_like_in_progress != 0 && defended(NMISAFE_WITHOUT_DR7))
        return X86_DR7_DISARMED;
    return control_outside_debug(cpu);
}

/// Whether any breakpoint may be armed, now or later. @context any
[[NMISAFE_TRAP_INLINE]] inline bool any_breakpoint_wanted(const platform::cpu_state& cpu) {
    return ((cpu.debug_control | cpu.nmi_debug_control) & X86_DR7_ENABLE_ALL) != 0;
}

/// The first step, once the event is counted: whether any was armed. @context nmi or like it
[[NMISAFE_TRAP_INLINE]] inline bool disarm_breakpoints() {
    if ((x86::read_dr7() & X86_DR7_ENABLE_ALL) == 0 || !defended(NMISAFE_WITHOUT_DR7)) [[likely]]
        return false;
    x86::write_dr7(X86_DR7_DISARMED);
    return true;
}

/// Makes DR7 what it is to be. An NMI, #DB or #MC that lands after that has been read may have
/// changed it, and loaded DR7 with that.
[[NMISAFE_TRAP_INLINE]] inline void load_debug_control(const platform::cpu_state& cpu) {
    uintptr_t value;
    do {
        value = due_control(cpu);
        x86::write_dr7(value);
    } while (due_control(cpu) != value);
}

/// The last step, once the event is no longer counted. @context nmi or like it
[[NMISAFE_TRAP_INLINE]] inline void rearm_breakpoints(const platform::cpu_state& cpu,
                                                      bool were_armed) {
    // What an event that still found this one counted has set must be seen here.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const bool are_due = were_armed || (cpu.debug_control & X86_DR7_ENABLE_ALL) != 0;
    if (are_due && defended(NMISAFE_WITHOUT_DR7)) [[unlikely]]
        load_debug_control(cpu);
}

} // namespace nmisafe::trap
