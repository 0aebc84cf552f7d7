// SPDX-License-Identifier: MIT
// An #MC or #DB that has interrupted the entry or the exit of an NMI.
//
// On x86-64 a further NMI is judged by the instruction that it interrupts (nmi_x86_64.S). One that
// is let in while the handler of that #MC or #DB runs interrupts the handler, and says nothing of
// the boundary beneath. So the boundary becomes one at which a further NMI is only remembered,
// before the handler; and after it the NMI's code goes on where it sees what was remembered:
//
//   interrupted at                      before the handler         after it
//   the entry, IST not lowered yet      the IST entry is lowered   behind the lowering
//   the exit, from behind the test of   the IST entry is lowered   at the test of `pending`: all registers are
//   `pending` to the last IRET          (again)                    in the trap_frame until the IRET has run
//
// A step goes no further than the exit: it would come back to the test without end. TF is cleared
// there.
//
// What stays open is an NMI that the CPU takes before this has run, in the entry of an #MC at the
// last IRET (with NMIs open already), or at the NMI entry's first instruction (behind an SMI):
// decision 11.
//
// On x86-32 there is nothing to do: a further NMI's frame never lies over another's, and at the
// boundaries where it is not remembered it runs its handler at once (nmi_x86_32.S).
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/x86/trap_frame.h"

#ifdef __x86_64__
extern "C" const char nmisafe_trap_nmi_entry[], nmisafe_trap_nmi_end[];
#endif

namespace nmisafe::trap {

#ifdef __x86_64__

/// An instruction of an NMI's entry or exit.
enum class nmi_boundary : uint32_t { none, entry, exit };

namespace internal {
[[NMISAFE_TRAP_TEXT]] nmi_boundary hold_nmi_boundary(const x86::trap_frame& frame);
[[NMISAFE_TRAP_TEXT]] void leave_nmi_boundary(x86::trap_frame& frame, nmi_boundary boundary);

// The same of an entry or exit that is another module's: for who knows that the frame is of an
// instruction of it, the entry's with RSP as the CPU has left it. `lowered`: where level 0 goes on.
[[NMISAFE_TRAP_TEXT]] nmi_boundary hold_nmi_entry(const x86::trap_frame& frame);
[[NMISAFE_TRAP_TEXT]] nmi_boundary hold_nmi_exit();
[[NMISAFE_TRAP_TEXT]] void leave_nmi_entry(x86::trap_frame& frame, uintptr_t lowered);

/// Whether the next NMI of this CPU would find another one in progress: counted or not, in its entry or exit too, if
/// that boundary is held. @context like nmi
[[NMISAFE_TRAP_TEXT]] bool is_nmi_stack_in_use();
} // namespace internal

/// Before the handler; what it says is for leave_nmi_boundary(). @context like nmi
[[NMISAFE_TRAP_INLINE]] inline nmi_boundary hold_nmi_boundary(const x86::trap_frame& frame) {
    const auto begin = reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_entry);
    const auto end = reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_end);
    if (frame.ip - begin >= end - begin) [[likely]]
        return nmi_boundary::none;
    return internal::hold_nmi_boundary(frame);
}

/// After the handler, once the frame is changed no more. @context like nmi
[[NMISAFE_TRAP_INLINE]] inline void leave_nmi_boundary(x86::trap_frame& frame,
                                                       nmi_boundary boundary) {
    if (boundary != nmi_boundary::none) [[unlikely]]
        internal::leave_nmi_boundary(frame, boundary);
}

#else

enum class nmi_boundary : uint32_t { none };

[[NMISAFE_TRAP_INLINE]] constexpr nmi_boundary hold_nmi_boundary(const x86::trap_frame&) {
    return nmi_boundary::none;
}
[[NMISAFE_TRAP_INLINE]] constexpr void leave_nmi_boundary(x86::trap_frame&, nmi_boundary) {}

#endif

} // namespace nmisafe::trap
