// SPDX-License-Identifier: MIT
// Grace periods: sections with the preempt count raised are waited for, so that what they may have
// been looking at can be given up.
#pragma once

namespace kernel {

/// Returns when each CPU has, since the call, been at a point where its preempt count was 0: in a
/// thread, outside of preempt-disabled sections, interrupts and NMIs. A CPU that is asked in such a
/// section answers at its end, though another one follows at once. @context thread, interrupts on,
/// preempt count 0
void wait_for_grace_period();

/// Called, if set, on each CPU that is asked, in the interrupt. Set while nobody waits.
extern void (*grace_period_hook)();

/// Sets the handler of the interrupt that wait_for_grace_period() sends. @context boot, once
void set_up_grace_periods();

} // namespace kernel
