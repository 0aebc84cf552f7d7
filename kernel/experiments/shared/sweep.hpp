// SPDX-License-Identifier: MIT
// Moves an event of the HPET's one-shot along a code window, in steps shorter than one instruction,
// so that it arrives, or is pended, at every instruction boundary of the window.
//
// Needs `qemu -icount shift=6`: one instruction is then 64 ns of virtual time. An HPET tick is 10
// ns and the delay grows by 4 ticks a step; reading the counter and writing the comparator each
// round by up to one tick. So two delays in a row are at most 50 ns apart, and no boundary can be
// stepped over. With more than one CPU a step is 1 tick: QEMU gives another one a turn now and
// then, which takes virtual time, so one pass alone might miss its boundary. That none was is not
// computed, but compared with QEMU's log of the instructions (tool/README.md).
#pragma once

#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

struct sweep {
    /// The window: a function of windows_x86_*.S.
    void (*window)();
    /// Before each injection. May be null.
    void (*prepare)();
    /// Whether all events of this injection have arrived.
    bool (*arrived)();
    /// After each injection that was not abandoned: counts what did not arrive in time, or went
    /// wrong.
    void (*check)();
    /// Whether an injection that was abandoned is the last, because what it leaves behind is in the
    /// way of others.
    bool once = false;
};

/// Runs the sweep with the one-shot raising NMIs at CPU 0, with ever longer delays, until the event
/// has come after the window's end many times in a row. @context thread, CPU 0, interrupts off.
void sweep_nmi(const sweep& plan);

/// The same with the one-shot as an interrupt: its handler calls sweep_event(). The window's code
/// decides whether interrupts are on; here they are off.
void sweep_interrupt(const sweep& plan, uint8_t vector);

/// An event has arrived: called by the handlers.
void sweep_event();

/// Injections so far, for the row.
uint32_t sweep_injections();

} // namespace kernel
