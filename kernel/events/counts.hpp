// SPDX-License-Identifier: MIT
// How many events there are: each that was begun is written, or lost and counted, or was never completed.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "nmisafe/tracer/cpu.hpp"

namespace kernel {

/// Of all CPUs so far. While others write the three are of different instants.
struct event_counts {
    uint64_t generated;
    uint64_t written;
    uint64_t lost;       ///< As the buffers have counted.
    uint64_t unrecorded; ///< Of CPUs without buffers: those that came after the trace had begun.

    /// Nothing that was begun is none of these; of a trace that has been stopped.
    bool are_exact() const { return generated == written + lost + unrecorded; }
};

/// @context any
inline event_counts count_events() {
    event_counts sum{0, 0, 0, 0};
    for (uint32_t id = 0; id < most_cpus; ++id) {
        const cpu& one = cpu_at(id);
        sum.generated += __atomic_load_n(&one.events_generated, __ATOMIC_RELAXED);
        sum.written += __atomic_load_n(&one.events_written, __ATOMIC_RELAXED);
        if (one.tracer == nullptr)
            continue; // it was never started
        sum.unrecorded += __atomic_load_n(&one.tracer->unrecorded, __ATOMIC_RELAXED);
        for (const nmisafe::ring_buffer::header* buffer : one.tracer->buffers)
            if (buffer != nullptr)
                for (const uint32_t& lost : buffer->lost)
                    sum.lost += __atomic_load_n(&lost, __ATOMIC_RELAXED);
    }
    return sum;
}

} // namespace kernel
