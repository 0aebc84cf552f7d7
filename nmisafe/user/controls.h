// SPDX-License-Identifier: MIT
// The defences of this module that a test may take out: as nmisafe/trap/controls.h, and compiled in
// with the same NMISAFE_TRAP_CONTROLS only.
#ifndef NMISAFE_USER_CONTROLS_H
#define NMISAFE_USER_CONTROLS_H

#define NMISAFE_USER_WITHOUT_GAP 0x01       // return from #DB on the user's stack by POPF and RET
#define NMISAFE_USER_WITHOUT_FIXUP 0x02     // leave a return that faults to the kernel's handler
#define NMISAFE_USER_WITHOUT_CANONICAL 0x04 // SYSRET to any address
#define NMISAFE_USER_WITHOUT_REFUSAL 0x08   // return to any image
#define NMISAFE_USER_WITHOUT_GS 0x10        // believe GS in #DB and #MC from ring 0
#define NMISAFE_USER_WITHOUT_STEP 0x20      // SYSRET to an image with TF or RF
#define NMISAFE_USER_WITHOUT_MASK 0x40      // let SYSCALL clear IF alone; SYSENTER: leave NT
#define NMISAFE_USER_WITHOUT_UNBLOCKING 0x80 // leave NMIs as a return that faulted has left them
// With NMISAFE_SHADOW_STACK:
#define NMISAFE_USER_WITHOUT_SHADOW_ENTRY 0x10000 // SYSCALL: no shadow stack is taken
#define NMISAFE_USER_WITHOUT_SHADOW_EXIT 0x20000  // SYSRET: it is left busy
#define NMISAFE_USER_WITHOUT_SHADOW_MOVE 0x40000  // stay on the shadow stack of an IST
#define NMISAFE_USER_WITHOUT_SHADOW_FAULT 0x80000 // leave there what a return that faulted has pushed

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

#ifdef NMISAFE_TRAP_CONTROLS
extern "C" uint32_t nmisafe_user_removed; // the defences taken out; set once, while one CPU runs
#endif

namespace nmisafe::user {

#ifdef NMISAFE_TRAP_CONTROLS
[[NMISAFE_TRAP_INLINE]] inline bool defended(uint32_t defence) {
    return (nmisafe_user_removed & defence) == 0;
}
#else
[[NMISAFE_TRAP_INLINE]] constexpr bool defended(uint32_t) {
    return true;
}
#endif

} // namespace nmisafe::user

#endif // __ASSEMBLER__
#endif
