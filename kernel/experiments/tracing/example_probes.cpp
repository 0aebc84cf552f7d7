// SPDX-License-Identifier: MIT
#include "kernel/experiments/tracing/example_probes.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/tracer/markers.hpp"
#include "nmisafe/tracer/probes.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constinit tracer::marker_event storage[1];
kprobe::probe on_function;
uint32_t passed[most_cpus]; // events that were begun

uint32_t lost_markers(const cpu& of) {
    const auto* const buffer = of.tracer->buffers[static_cast<unsigned>(tracer::channel::markers)];
    uint32_t sum = 0;
    for (const uint32_t& lost : buffer->lost)
        sum += lost;
    return sum;
}

} // namespace

void start_example_probes() {
    if (!is_traced())
        return;
    tracer::use_marker_storage(storage, 1);
    if (const auto on = tracer::enable("example", "*"); !on || *on != 1)
        fail("markers that are events", 1, on ? *on : 0);
    on_function.address = probed_instructions[0].address();
    on_function.function = reinterpret_cast<uintptr_t>(probed_function);
    on_function.slot = reinterpret_cast<uintptr_t>(probe_slots);
    if (const auto inserted = tracer::probe(on_function); !inserted)
        fail("a probe was refused", 0, static_cast<uintptr_t>(inserted.error()));
}

void pass_example_probes(uint32_t turn) {
    const interrupts_off off;
    x86::increment(passed[this_cpu().id]);
    trace_mark(example, turn, "cpu %u turn %u", this_cpu().id, turn);
    x86::increment(passed[this_cpu().id]);
    static_cast<void>(probed_function(turn));
}

/// The channel has nothing else: what its buffers have not lost is written. Whether that is so, say
/// those who read it.
void stop_example_probes() {
    if (!is_traced())
        return;
    if (!tracer::disable("example", "*") || !kprobe::remove(on_function) ||
        !kprobe::release(on_function))
        fail("a marker or a probe was not turned off", 1, 0);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        cpu_at(id).events_generated += passed[id];
        cpu_at(id).events_written += passed[id] - lost_markers(cpu_at(id));
    }
}

} // namespace kernel
