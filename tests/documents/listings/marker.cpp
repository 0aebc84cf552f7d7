// SPDX-License-Identifier: MIT
#include "nmisafe/marker/trace_mark.hpp"

#include "nmisafe/marker/join.hpp"

using namespace nmisafe;

struct {
    unsigned length;
} packet;
unsigned flags;
uint64_t bytes;
void show(const char* channel, const char* name, const char* format, uint32_t arm_count);

void traced() {
    trace_mark(net, packet, "len %u flags %x", packet.length, flags);
    _trace_mark(net, lost, MARK_NOARGS);
}

void on_packet(const marker::marker&, void* private_data, const marker::arguments& values) {
    *static_cast<uint64_t*>(private_data) += values[0].as_unsigned();
}
constinit marker::probe counter(on_packet, &bytes);

void thread() {
    const auto on = marker::register_probe("net", "packet", "len %u flags %x", counter);
    const auto off = marker::unregister_probe(counter);
    const auto done = marker::synchronise();

    for (const marker::marker& one : marker::all_markers{})
        show(one.channel(), one.name(), one.format(), one.arm_count());
}

void later(const int32_t* table, const int32_t* table_end, base::address_range data,
           base::address_range constants, base::address_range code) {
    marker::marker_range markers{.begin = table,
                                 .end = table_end,
                                 .data = data,
                                 .constants = constants,
                                 .code = code,
                                 .internal = {}};
    const auto joined = marker::join(markers);
    const auto left = marker::leave(markers);
}
