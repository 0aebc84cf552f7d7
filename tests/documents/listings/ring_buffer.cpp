// SPDX-License-Identifier: MIT
#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"

using namespace nmisafe;

struct values {
    uint32_t first, second;
};
void store(uint8_t* to, values payload);
void send(const ring_buffer::packet_header* header, uint32_t size);

void boot(void* memory, size_t size, uint32_t cpu) {
    const auto made = ring_buffer::create(memory, size,
                                          {.sub_buffer_size = 1 << 18,
                                           .sub_buffer_count = 8,
                                           .mode = ring_buffer::mode::overwrite,
                                           .cpu = cpu});
}

void writer(ring_buffer::header& buffer, uint32_t id, values payload, clock::trace_clock clock) {
    if (const auto event = ring_buffer::reserve(buffer, id, sizeof payload, clock)) {
        store(event.payload, payload);
        ring_buffer::commit(buffer, event);
    }
}

void reader(ring_buffer::header& buffer) {
    while (const auto packet = ring_buffer::take(buffer)) {
        send(packet->header, packet->size);
        ring_buffer::release(buffer);
    }
}
