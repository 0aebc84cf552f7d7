// SPDX-License-Identifier: MIT
// marker_bench: what a marker that is off costs on this CPU, beside flags that are loaded and
// tested.
#include "bench/marker_sites.hpp"
#include "bench/marker_summary.hpp"
#include "bench/program.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <string>

namespace {

using namespace nmisafe::bench;

constexpr uint64_t rounds = 250; // at each place, between two looks at the clock

const technique* const techniques[] = {
    &empty_loop,     &dormant_marker, &loading_marker, &plain_flag, &lttng_tracepoint,
    &enabled_marker, &immediate_read, &global_load,    &one_cycle,
};

// Iterations are sites.
constexpr benchmark::IterationCount batch_alone = places * rounds;
constexpr benchmark::IterationCount batch = sites * batch_alone;

void measure_hot(benchmark::State& state, const technique& what) {
    while (state.KeepRunningBatch(batch))
        for (hot_loop* loop : what.hot)
            loop(rounds);
}

/// Only the sites are timed, by the TSC. How long its ticks are is seen on the way.
void measure_cold(benchmark::State& state, const technique& what, bool alone) {
    using clock = std::chrono::steady_clock;
    const flag_addresses flags = what.flags();
    while (state.KeepRunningBatch(alone ? batch_alone : batch)) {
        const clock::time_point begin = clock::now();
        const uint64_t begin_ticks = ticks();
        uint64_t in_sites = 0;
        for (cold_loop* loop : alone ? what.alone : what.cold)
            in_sites += loop(rounds, flags);
        const uint64_t all = ticks() - begin_ticks;
        const std::chrono::duration<double> elapsed = clock::now() - begin;
        state.SetIterationTime(elapsed.count() * static_cast<double>(in_sites) /
                               static_cast<double>(all));
    }
}

void register_cold(const technique& what, const char* setting, bool alone) {
    benchmark::RegisterBenchmark(
        (std::string{what.name} + setting).c_str(),
        [&what, alone](benchmark::State& state) { measure_cold(state, what, alone); })
        ->UseManualTime()
        ->Iterations(alone ? batch_alone : batch);
}

void register_all() {
    for (const technique* one : techniques) {
        benchmark::RegisterBenchmark(one->name,
                                     [one](benchmark::State& state) { measure_hot(state, *one); });
        register_cold(*one, "/cold", false);
        register_cold(*one, "/alone", true);
    }
}

/// Sites hit when each loop of a technique makes some rounds.
uint64_t count_hits(const technique& what) {
    constexpr uint64_t few = 3;
    hits = 0;
    for (hot_loop* loop : what.hot)
        loop(few);
    for (cold_loop* loop : what.cold)
        loop(few, what.flags());
    for (cold_loop* loop : what.alone)
        loop(few, what.flags());
    return hits / few;
}

/// That what is measured is there: each site hits when it is on, and none when it is off again.
bool check_sites(const technique& what) {
    if (what.turn == nullptr)
        return true;
    const bool turned_on = what.turn(true);
    const uint64_t on = count_hits(what);
    const bool turned_off = what.turn(false);
    const uint64_t off = count_hits(what);
    if (turned_on && turned_off && on == places * (2 * sites + 1) && off == 0)
        return true;
    fmt::print(stderr, "marker_bench: {}: turned on: {}, {} sites hit; turned off: {}, {} hit\n",
               what.name, turned_on, on, turned_off, off);
    return false;
}

bool set_up() {
    if (!allow_patching()) {
        fmt::print(stderr, "marker_bench: this system does not let a program change its code\n");
        return false;
    }
    if (!turn_enabled_on()) {
        fmt::print(stderr, "marker_bench: the markers cannot be turned on\n");
        return false;
    }
    return std::all_of(std::begin(techniques), std::end(techniques),
                       [](const technique* one) { return check_sites(*one); });
}

} // namespace

int main(int argc, char** argv) {
    if (!set_up())
        return 2;
    return run(argc, argv, {register_all, print_marker_table, marker_goals, "."});
}
