// SPDX-License-Identifier: MIT
// An event of the kernel, counted: what was read of a trace and what was lost of it must add up to
// that (counts.hpp).
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "nmisafe/tracer/kernel_events.hpp"
#include "nmisafe/x86/local.hpp"

namespace kernel {

/// Counts an event of this CPU and writes it, whether it is on or not. @context any
template <typename Event, typename... Arguments>
[[NMISAFE_TRAP_INLINE]] inline void emit_always(Arguments... values) {
    nmisafe::x86::increment(this_cpu().events_generated); // threads stay on their CPU
    if (nmisafe::tracer::record<Event>(values...)) [[likely]]
        nmisafe::x86::increment(this_cpu().events_written);
}

/// Counts one that somebody else has written, or lost. @context any
[[NMISAFE_TRAP_INLINE]] inline void count_event(bool is_written) {
    nmisafe::x86::increment(this_cpu().events_generated);
    if (is_written)
        nmisafe::x86::increment(this_cpu().events_written);
}

/// The same if it is on: else a NOP. @context any
template <typename Event, typename... Arguments>
[[NMISAFE_TRAP_INLINE]] inline void emit(Arguments... values) {
    if (nmisafe::tracer::is_on<Event>()) [[unlikely]]
        emit_always<Event>(values...);
}

} // namespace kernel
