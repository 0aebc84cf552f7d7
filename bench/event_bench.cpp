// SPDX-License-Identifier: MIT
// event_bench: what an event costs that is recorded or lost, beside a loop of RDTSC alone.
#include "bench/lttng_event.hpp"
#include "bench/program.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/x86/tsc.hpp"

#include <benchmark/benchmark.h>
#include <chrono>
#include <fmt/format.h>
#include <ostream>
#include <string_view>
#include <thread>

namespace {

using namespace nmisafe;
using namespace nmisafe::bench;

constexpr int batch = 1000;
constexpr uint32_t sub_buffer_size = 1 << 18;
constexpr uint32_t sub_buffer_count = 8;

struct tsc_clock {
    [[gnu::always_inline]] uint64_t read() const { return x86::read_tsc(); }
};

// The floor of any writer that reads the time twice: a control.
struct slow_clock {
    [[gnu::always_inline]] uint64_t read() const { return x86::read_tsc(), x86::read_tsc(); }
};

struct [[gnu::packed]] payload {
    uint32_t first;
    uint64_t second;
};

ring_buffer::header& buffer(ring_buffer::mode mode) {
    constexpr uint32_t size = ring_buffer::block_size(sub_buffer_size, sub_buffer_count);
    alignas(4096) static uint8_t memory[2][size];
    const auto made = ring_buffer::create(
        memory[mode == ring_buffer::mode::overwrite], size,
        {.sub_buffer_size = sub_buffer_size, .sub_buffer_count = sub_buffer_count, .mode = mode});
    return **made;
}

template <typename Clock>
[[gnu::always_inline]] inline void record(ring_buffer::header& in, uint32_t value) {
    const auto event = ring_buffer::reserve(in, 1, sizeof(payload), Clock{});
    if (event) {
        *reinterpret_cast<payload*>(event.payload) = {value, value};
        ring_buffer::commit(in, event);
    }
    benchmark::ClobberMemory();
}

[[gnu::always_inline]] inline void record_empty(ring_buffer::header& in) {
    const auto event = ring_buffer::reserve(in, 1, 0, tsc_clock{});
    if (event)
        ring_buffer::commit(in, event);
    benchmark::ClobberMemory();
}

template <typename Once>
void repeat(benchmark::State& state, Once once) {
    while (state.KeepRunningBatch(batch)) {
        for (uint32_t i = 0; i < batch; ++i)
            once(i);
    }
}

void measure_rdtsc(benchmark::State& state) {
    repeat(state, [](uint32_t) {
        x86::read_tsc();
        benchmark::ClobberMemory();
    });
}

template <typename Clock>
void measure_recorded(benchmark::State& state) {
    ring_buffer::header& in = buffer(ring_buffer::mode::overwrite);
    repeat(state, [&](uint32_t i) { record<Clock>(in, i); });
    if (in.lost[0] + in.lost[1] + in.lost[2] + in.lost[3] != 0)
        state.SkipWithError("events are lost");
}

void measure_empty(benchmark::State& state) {
    ring_buffer::header& in = buffer(ring_buffer::mode::overwrite);
    repeat(state, [&](uint32_t) { record_empty(in); });
}

// With a reader that is never behind: it looks once a batch.
template <typename Once>
void measure_discard(benchmark::State& state, Once once) {
    ring_buffer::header& in = buffer(ring_buffer::mode::discard);
    while (state.KeepRunningBatch(batch)) {
        for (uint32_t i = 0; i < batch; ++i)
            once(in, i);
        if (ring_buffer::take(in))
            ring_buffer::release(in);
    }
    if (in.lost[0] + in.lost[1] + in.lost[2] + in.lost[3] != 0)
        state.SkipWithError("events are lost");
}

void measure_lost(benchmark::State& state) {
    ring_buffer::header& in = buffer(ring_buffer::mode::discard);
    while (in.lost[0] == 0)
        record<tsc_clock>(in, 0);
    repeat(state, [&](uint32_t i) { record<tsc_clock>(in, i); });
}

void measure_recorded_discard(benchmark::State& state) {
    measure_discard(state, [](ring_buffer::header& in, uint32_t i) { record<tsc_clock>(in, i); });
}
void measure_empty_discard(benchmark::State& state) {
    measure_discard(state, [](ring_buffer::header& in, uint32_t) { record_empty(in); });
}

template <void (*Event)(uint32_t, uint64_t)>
void measure_lttng(benchmark::State& state) {
    repeat(state, [](uint32_t i) {
        Event(i, i);
        benchmark::ClobberMemory();
    });
}

template <void (*Event)()>
void measure_lttng_empty(benchmark::State& state) {
    repeat(state, [](uint32_t) {
        Event();
        benchmark::ClobberMemory();
    });
}

// Until the buffer is full: 4 sub-buffers of 64 KiB.
void measure_lttng_lost(benchmark::State& state) {
    for (uint32_t i = 0; i < 20'000; ++i)
        lttng_lost_numbers(i, i);
    measure_lttng<lttng_lost_numbers>(state);
}

constexpr goal goals[] = {
    {"recorded", 1.25, "rdtsc", "recorded-two-rdtsc"},
    {"lost", 1.0, "recorded", "recorded-two-rdtsc"}, // it reads no clock
};
constexpr goal goals_beside_lttng[] = {
    goals[0],
    goals[1],
    {"recorded", 0.2, "lttng", "lttng"},
};
constexpr goal_set event_goals = {quotient, "(medians) of", goals};
constexpr goal_set all_goals = {quotient, "(medians) of", goals_beside_lttng};

bool is_beside_lttng;

/// A session tells the program of its events some time after it has begun.
bool wait_for_lttng() {
    using namespace std::chrono_literals;
    for (int tries = 0; tries < 100 && !lttng_records(); ++tries)
        std::this_thread::sleep_for(100ms);
    return lttng_records();
}

void register_all() {
    benchmark::RegisterBenchmark("rdtsc", measure_rdtsc);
    benchmark::RegisterBenchmark("recorded", measure_recorded<tsc_clock>);
    benchmark::RegisterBenchmark("recorded-two-rdtsc", measure_recorded<slow_clock>);
    benchmark::RegisterBenchmark("recorded-empty", measure_empty);
    benchmark::RegisterBenchmark("recorded-discard", measure_recorded_discard);
    benchmark::RegisterBenchmark("recorded-discard-empty", measure_empty_discard);
    benchmark::RegisterBenchmark("lost", measure_lost);
    if (is_beside_lttng) {
        benchmark::RegisterBenchmark("lttng", measure_lttng<lttng_numbers>);
        benchmark::RegisterBenchmark("lttng-empty", measure_lttng_empty<lttng_empty>);
        benchmark::RegisterBenchmark("lttng-discard", measure_lttng<lttng_discard_numbers>);
        benchmark::RegisterBenchmark("lttng-discard-empty",
                                     measure_lttng_empty<lttng_discard_empty>);
        benchmark::RegisterBenchmark("lttng-lost", measure_lttng_lost);
    }
}

void print_table(std::ostream& out, const medians& found) {
    out << fmt::format("{:<24} {:>8} {:>10}\n", "one event, median", "ns", "of rdtsc");
    for (const char* name : {"rdtsc", "recorded", "recorded-empty", "recorded-discard",
                             "recorded-discard-empty", "recorded-two-rdtsc", "lost", "lttng",
                             "lttng-empty", "lttng-discard", "lttng-discard-empty", "lttng-lost"})
        out << fmt::format("{:<24} {:>8} {:>10}\n", name, number(find(found, name), 2),
                           number(quotient(find(found, name), find(found, "rdtsc")), 2));
}

} // namespace

int main(int argc, char** argv) {
    // "--lttng", first: in bench/with_lttng.
    if (argc > 1 && std::string_view{argv[1]} == "--lttng") {
        if (!wait_for_lttng()) {
            fmt::print(stderr, "no session records LTTng's events\n");
            return 2;
        }
        is_beside_lttng = true;
        --argc;
        argv[1] = argv[0];
        ++argv;
    }
    return run(argc, argv,
               {register_all, print_table, is_beside_lttng ? all_goals : event_goals,
                "^(rdtsc|recorded|recorded-two-rdtsc|lost|lttng|lttng-lost)$", "rdtsc"});
}
