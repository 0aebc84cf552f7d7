// SPDX-License-Identifier: MIT
// The lock of who changes mappings.
#pragma once

namespace kernel {

/// Interrupts stay on: the holder may wait for other CPUs' TLB flushes, also for those of CPUs that
/// wait for the lock. Preemption is off meanwhile. @context thread, interrupts on (or the only CPU)
void lock_mappings();
void unlock_mappings();

} // namespace kernel
