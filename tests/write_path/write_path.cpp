// SPDX-License-Identifier: MIT
// All that a context runs to write an event, compiled as kernels are: check_write_path.py looks at
// it.
#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/ring_buffer/write.hpp"

using namespace nmisafe;

extern "C" void record(ring_buffer::header& in, clock::cpu_clock<>& mine, uint32_t id,
                       uint32_t size);
extern "C" void end_packet(ring_buffer::header& in, clock::cpu_clock<>& mine);

void record(ring_buffer::header& in, clock::cpu_clock<>& mine, uint32_t id, uint32_t size) {
    const auto event = ring_buffer::reserve(in, id, size, clock::trace_clock(mine));
    if (!event)
        return;
    for (uint32_t i = 0; i < size; ++i)
        *static_cast<volatile uint8_t*>(event.payload + i) = 1;
    ring_buffer::commit(in, event);
}

void end_packet(ring_buffer::header& in, clock::cpu_clock<>& mine) {
    ring_buffer::close_packet(in, clock::trace_clock(mine));
}

#ifdef PLANTED
// What must be found: a division of 64 bits, which is a call on x86-32, and a LOCK too many.
extern "C" uint64_t planted(uint64_t a, uint64_t b, uint32_t* word);
uint64_t planted(uint64_t a, uint64_t b, uint32_t* word) {
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    return a / b;
}
#endif
