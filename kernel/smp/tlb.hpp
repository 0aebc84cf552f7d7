// SPDX-License-Identifier: MIT
// TLB shootdown.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Returns when no CPU's TLB holds a translation of [begin, end) from before the call. One call at
/// a time. More than 32 pages cost all of the TLB: CR3 is loaded again. Waits for each CPU's
/// interrupt, so for a CPU in an NMI handler until that has ended: what the handler had been
/// looking at was still there for it. @context thread, interrupts on
void flush_tlb(uintptr_t begin, uintptr_t end);

/// Sets the handler of the interrupt that flush_tlb() sends. @context boot, once
void set_up_tlb();

} // namespace kernel
