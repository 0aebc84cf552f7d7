// SPDX-License-Identifier: MIT
// Traps: entry stubs for every vector, dispatch to functions of the embedding kernel, and the
// return that keeps NMIs blocked. README.md shows how to use it.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/x86/trap_frame.h"
#include "nmisafe/x86/vectors.h"

namespace nmisafe::trap {

/// Handles one exception or interrupt. Runs with IF=0 on the interrupted stack (#DB, #DF, #MC on
/// x86-64: on their IST), in the context the frame interrupted: that may be an NMI handler. #DB and
/// #MC run between nmi_enter() and nmi_exit() if the layout's NMI field can nest, and with all
/// breakpoints off. Returns false when the event is none of its own: the machine then stops with
/// "unexpected exception".
///
/// May change the frame but for SS, and RSP (x86-64) by any amount. Where RSP is lowered the frame
/// itself may lie in between: what the handler puts there must leave the frame's words alone. The
/// one exception is the return address of an emulated CALL, which may take the place of SS in an
/// image that does not go by IRET.
using handler = bool (*)(x86::trap_frame&);

/// As handler; `address` is CR2, read before anything else could change it.
using page_fault_handler = bool (*)(x86::trap_frame&, uintptr_t address);

/// Handles an NMI. Called between nmi_enter() and nmi_exit(), NMIs blocked, breakpoints disarmed,
/// but for those of set_nmi_debug_control() (nmi_debug.hpp). May hit INT3 and take page faults. May
/// not switch threads, wait, or take a lock shared with others.
using nmi_handler = void (*)(x86::trap_frame&);

/// Set a handler. @context thread; a handler may be replaced while traps come in (one store), and a
/// handler that is being replaced may still run for a moment on other CPUs.
/// Panics for NMI and #PF, whose handlers are of another kind.
void set_handler(uint8_t vector, handler function);
void set_page_fault_handler(page_fault_handler function);
void set_nmi_handler(nmi_handler function);

/// The entry point for an IDT gate: an interrupt gate, ring 0, in a 64-bit (x86-32: 32-bit) code
/// segment. On x86-64 give NMI, #DF, #MC and #DB an own IST stack each, and no IST to any other.
uintptr_t entry_address(uint8_t vector);

#ifdef __i386__
/// The GS selector that an NMI loads before it calls the platform. @context thread, before the
/// first NMI source is started.
void set_percpu_selector(uint16_t selector);
#endif

/// Says what DR7 is to be on this CPU: the only way to arm breakpoints, but for those in NMI
/// handlers (nmi_debug.hpp). In an NMI, #DB or #MC handler or the hooks around it all are off; what
/// is set there holds from its return on, or where they nest from the outermost's. Outside of them
/// DR6 is cleared here, and when a #DB handler has returned: a handler finds in it what its own #DB
/// reported.
///
/// No breakpoint may cover the section nmisafe_trap_text, the per-CPU words of the platform
/// contract, or the stacks of NMI, #DB and #MC (x86-32: what they push where they interrupt).
/// `value` has GD clear.
/// @context any, interrupts off
void set_debug_control(uintptr_t value);

/// Forgets the #DB or #MC in progress: for who leaves its handler for good, other than by its return, from a thread or
/// what interrupts it: one that has interrupted an NMI, #DB or #MC cannot be left so, and the machine stops by name; in an
/// NMI's entry and exit too. (x86-32: unless the NMI has not set its latch yet, or has cleared it. Nothing of it then
/// stays but that NMIs are blocked until the caller's IRET; in the first case its handler does not run.)
/// (With an NMI it can, by abandon_nmi().) From here on it is not counted, and breakpoints are as set_debug_control()
/// was told. What else the handler or the CPU has changed is the caller's to put back: CR2; the GS base, where it was
/// not the kernel's; in_probe_handler, where a probe's handler was interrupted; the token of that stack's shadow stack.
/// @context the handler of #DB or #MC, just before its stack is left: the next one begins there
void abandon_nmi_like();

} // namespace nmisafe::trap
