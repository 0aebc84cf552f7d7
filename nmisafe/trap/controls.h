// SPDX-License-Identifier: MIT
// The defences that a test may take out, to show that the test fails without them.
//
// Compiled in only with NMISAFE_TRAP_CONTROLS, which no product build defines: otherwise defended()
// is constant and not one instruction of this remains.
#ifndef NMISAFE_TRAP_CONTROLS_H
#define NMISAFE_TRAP_CONTROLS_H

#define NMISAFE_WITHOUT_TF 0x01     // send a TF image through POPF
#define NMISAFE_WITHOUT_RF 0x02     // lose RF although an instruction breakpoint is armed
#define NMISAFE_WITHOUT_STI 0x04    // let POPF set IF, one instruction before the return
#define NMISAFE_WITHOUT_REWIND 0x08 // leave an NMI's frame inside the STI shadow as it is
#define NMISAFE_WITHOUT_CR2 0x10    // let an NMI's page fault change CR2 for good
#define NMISAFE_WITHOUT_DR7 0x20    // leave breakpoints armed in NMI, #DB and #MC
#define NMISAFE_WITHOUT_GS 0x40     // leave the kernel's GS behind when an NMI returns
#define NMISAFE_WITHOUT_LATCH 0x80  // let a nested NMI run the handler, over the frame of the other
#define NMISAFE_WITHOUT_BOUNDARY 0x100 // leave the entry or exit of an NMI as an #MC or #DB finds it
#define NMISAFE_WITHOUT_DEBUG_STACK 0x200 // let a #DB in an NMI begin its stack again, over one in progress
#define NMISAFE_WITHOUT_NESTED_RETURN 0x800 // let a nested NMI go back by IRET, which unblocks NMIs
#define NMISAFE_WITHOUT_STEP_END 0x400 // let a step that an NMI's handler leaves on go on behind it

#define NMISAFE_WITHOUT_SHADOW_FAR 0x10000   // return by the near return with a shadow stack
#define NMISAFE_WITHOUT_SHADOW_STEP 0x20000  // let a handler move IP, and the shadow stack not follow
#define NMISAFE_WITHOUT_SHADOW_TOKEN 0x40000 // leave the shadow stack of an IST busy
#define NMISAFE_WITHOUT_SHADOW_LATCH 0x100000 // let a nested NMI find the shadow stack of the outer one
#define NMISAFE_WITHOUT_TABLES 0x1000000      // let an NMI, #DB or #MC run with the page tables it found
#define NMISAFE_WITHOUT_TABLES_BACK 0x2000000 // let it leave the kernel's behind
#define NMISAFE_WITHOUT_SHADOW_CALL 0x80000  // leave out the return address of an emulated CALL there

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

#ifdef NMISAFE_TRAP_CONTROLS
extern "C" uint32_t nmisafe_trap_removed; // the defences taken out; set once, while one CPU runs
#endif

namespace nmisafe::trap {

#ifdef NMISAFE_TRAP_CONTROLS
[[NMISAFE_TRAP_INLINE]] inline bool defended(uint32_t defence) {
    return (nmisafe_trap_removed & defence) == 0;
}
#else
[[NMISAFE_TRAP_INLINE]] constexpr bool defended(uint32_t) {
    return true;
}
#endif

} // namespace nmisafe::trap

#endif // __ASSEMBLER__
#endif
