// SPDX-License-Identifier: MIT
/// Single steps and breakpoints in NMI handlers, for kernels that have a debugger. Opt-in: without
/// it an NMI has no instruction of this.
///
/// A #DB there goes back by IRET where TF is set, which unblocks NMIs; the latch holds back those that
/// come, and runs them afterwards. What is needed beyond that:
///   - an NMI may have interrupted a #DB, at any instruction. On x86-64 the next #DB would begin the
///     same IST stack again, over the frame of that one: in the handler it gets another stack.
///   - DR6 is put away, so that each of the two #DBs finds what is its own.
///   - a step ends where the handler returns. The last steps reported lie in nmisafe_trap_text.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/trap.hpp"

namespace nmisafe::trap {

/// Lets the NMI handlers of this CPU be stepped through: whoever sets TF in one, by POPF or in the
/// frame of an exception that it took. All CPUs' NMIs become some instructions longer.
///
/// x86-64: a #DB in the handler begins at `stack_top`, as large a stack as the debugger needs, with
/// what the embedder has at the top of other IST stacks; `debug_ist` is the IST entry of #DB's
/// gate, which by now says where #DBs begin outside. With shadow stacks `shadow_token` is that of
/// another one. Once more after set_up_nmi_block().
/// @context thread on that CPU, no #DB in progress; one CPU at a time
#ifdef __x86_64__
void set_up_nmi_debugging(nmi_block& block, uint8_t debug_ist, uintptr_t stack_top,
                          uintptr_t shadow_token = 0);
#else
void set_up_nmi_debugging();
#endif

/// Says what DR7 is to be in NMI handlers of this CPU, between nmi_enter() and nmi_exit(), if the
/// NMI has not interrupted a #DB or #MC; X86_DR7_DISARMED for none. DR0 to DR3 are those of
/// set_debug_control(), whose rules for addresses and value hold. In a #DB or #MC that comes there
/// all are off, and what is set there holds from its return on. Call set_up_nmi_debugging() first.
/// @context any, interrupts off
void set_nmi_debug_control(uintptr_t value);

namespace internal {

/// For abandon_nmi(): the handler in progress does not end. @context nmi
void forget_nmi_debugging();

} // namespace internal

} // namespace nmisafe::trap
