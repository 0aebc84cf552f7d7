// SPDX-License-Identifier: MIT
#include "nmisafe/marker/join.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/tracer/control.hpp"
#include "nmisafe/tracer/event.hpp"
#include "nmisafe/tracer/field.hpp"
#include "nmisafe/tracer/kernel_events.hpp"
#include "nmisafe/tracer/markers.hpp"
#include "nmisafe/tracer/probes.hpp"

using namespace nmisafe;

using packet = tracer::event<"net_packet", tracer::channel::kernel, tracer::u32<"length">,
                             tracer::string<"device", 16>>;

struct device {
    const char* name;
};

void traced(uint32_t length, const device* device) {
    tracer::trace<packet>(length, device->name);
}

void boot(trace_descriptor::descriptor& descriptor, ring_buffer::header* buffer) {
    const auto ready = tracer::set_up(descriptor);
    const auto known = tracer::add_kernel_events();
    const auto number = tracer::add(packet::type);
    nmisafe_platform::tracer_cpu().buffers[0] = buffer;
    const auto on = tracer::enable("net_*");
}

static constinit tracer::marker_event storage[64];

void with_markers(uint32_t length, unsigned flags, marker::marker_range& markers,
                  kprobe::probe& kprobe) {
    tracer::use_marker_storage(storage, 64);

    trace_mark(net, packet, "len %u flags 0x%x", length, flags);
    const auto on = tracer::enable("net", "*");

    const auto joined = marker::join(markers);
    const auto events = tracer::markers_have_joined();
    const auto inserted = tracer::probe(kprobe);
}
