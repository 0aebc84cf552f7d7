// SPDX-License-Identifier: MIT
#include "kernel/events/clock.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/hpet.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

constexpr uint64_t femtoseconds_per_second = 1'000'000'000'000'000;
constexpr uint32_t calibration_microseconds = 5000;
constexpr uint32_t ticks_between_closings = 64; // some 60 ms, so that readers see what is rare

uint64_t tsc_frequency;

volatile uint32_t& counter_high() {
    return *device_register(hpet::base + 0x0f4);
}

} // namespace

uint64_t reference_ticks() {
    for (;;) {
        const uint32_t high = counter_high();
        const uint32_t low = hpet::counter();
        if (counter_high() == high)
            return uint64_t{high} << 32 | low;
    }
}

uint64_t reference_frequency() {
    return clock::rate_of(femtoseconds_per_second, tick_period()) / clock::rate_of_one;
}

void start_trace_clock() {
    const interrupts_off off; // between the two counters
    const uint64_t tsc_before = x86::read_tsc();
    const uint64_t before = reference_ticks();
    delay_microseconds(calibration_microseconds);
    const uint64_t tsc_ticks = x86::read_tsc() - tsc_before;
    const uint64_t now = reference_ticks();
    tsc_frequency = clock::frequency_of(tsc_ticks, now - before, reference_frequency());
    this_cpu().tracer->clock.start(now, clock::rate_of(now - before, tsc_ticks));
}

uint64_t trace_frequency() {
    return clock::tsc_is_good ? tsc_frequency : reference_frequency();
}

uint64_t trace_time() {
    return clock::trace_clock(this_cpu().tracer->clock).read();
}

void keep_trace() {
    cpu& mine = this_cpu();
    if (!clock::tsc_is_good)
        static_cast<void>(mine.tracer->clock.update(reference_ticks()));
    if (mine.ticks % ticks_between_closings == 0)
        close_packets();
}

void close_packets() {
    tracer::cpu& mine = *this_cpu().tracer;
    for (ring_buffer::header* buffer : mine.buffers)
        if (buffer != nullptr)
            ring_buffer::close_packet(*buffer, clock::trace_clock(mine.clock));
}

} // namespace kernel
