// SPDX-License-Identifier: MIT
// The latch one access to shared memory at a time: readers and updates inside each other at every
// one of them, three deep. A share of it with `./test`, the whole with the environment's
// NMISAFE_WHOLE.
//
// A reading is compared with those that had ended when it began: one that interrupts it may have
// found a later time.
#include "nmisafe/clock/cpu_clock_test.hpp"
#include "nmisafe/platform/fake/access_steps.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <span>
#include <string>

using namespace nmisafe;
using clock::test_counter;
namespace access_steps = platform::fake::access_steps;
using access_steps::visit;

namespace {

// Halves that all differ, and low ones near their ends: a reading that mixes two lines is far off.
constexpr uint64_t begin = 0x7fff'ffff'0000;
constexpr uint64_t counter_begin = 0x1234'ffff'fff0;
constexpr uint64_t interval = 0x5'0000'0000; // between two updates, in ticks and in time

struct {
    uint64_t runs = 0;
    uint64_t back = 0;    // readings below one that had ended before they began
    uint64_t far = 0;     // that no line gives
    uint64_t gave_up = 0; // that did not end
    uint64_t again = 0;   // that took another turn
    uint64_t refused = 0; // updates inside updates
    unsigned steps = 0;   // at most, of one run
} all;

template <typename Clock>
struct one_cpu {
    static inline Clock clock;
    static inline uint64_t reference;
    static inline uint64_t latest; // of the readings that have ended

    static void reads() {
        const uint64_t floor = latest;
        const uint64_t turns = test_counter::now;
        const uint64_t time = clock.read();
        all.back += time < floor;
        all.far += time > floor && time - floor > 64 * interval;
        all.again += test_counter::now - turns > 1;
        latest = std::max(latest, time);
    }
    static void updates() {
        __sync_add_and_fetch(&test_counter::now, interval); // at once: it never goes back
        reference += interval;
        all.refused += !clock.update(reference);
    }
    static void updates_twice() { // both lines are others then
        updates();
        updates();
    }
    static void reads_twice() {
        reads();
        reads();
    }

    /// The counter has gone faster than the reference, by so much.
    static void start(uint64_t fast_by) {
        test_counter::now = counter_begin;
        test_counter::step = 1;
        clock = {};
        clock.start(begin, clock::rate_of_one);
        reference = begin;
        latest = begin;
        updates();
        test_counter::now += fast_by;
        reads();
    }

    static bool run(uint64_t fast_by, void (*outer)(), std::span<const visit> visits) {
        start(fast_by);
        const auto out = access_steps::run(outer, nullptr, visits.data(), visits.size());
        reads();
        test_counter::now += interval / 8;
        reads();
        all.gave_up += clock.gave_up;
        all.steps = std::max(all.steps, out.steps);
        ++all.runs;
        return out.visited == visits.size();
    }

    static void watch() {
        access_steps::watch_nothing();
        access_steps::watch(&clock, sizeof clock, access_steps::grain::each);
        access_steps::watch(&test_counter::now, sizeof test_counter::now,
                            access_steps::grain::each);
    }
};

using mine = one_cpu<clock::tested_clock>;
using doing = void (*)();
constexpr doing outer_ones[] = {mine::reads, mine::updates};
constexpr doing inner_ones[] = {mine::reads, mine::updates, mine::updates_twice, mine::reads_twice};
constexpr uint64_t drifts[] = {0x100, interval / 3, 4 * interval};

bool is_whole() {
    return std::getenv("NMISAFE_WHOLE") != nullptr;
}

void report(const char* what) {
    MESSAGE(std::string(what), ": ", all.runs, " runs, at most ", all.steps, " steps; ", all.again,
            " readings took another turn, ", all.refused, " updates were refused");
    CHECK(all.back == 0);
    CHECK(all.far == 0);
    CHECK(all.again > 50);
}

} // namespace

TEST_CASE("anything happens at each access of a reading and of an update") {
    all = {};
    mine::watch();
    for (const uint64_t fast_by : drifts) {
        for (const doing outer : outer_ones) {
            for (const doing inner : inner_ones) {
                for (unsigned at = 0;; ++at) {
                    const visit visits[] = {{at, inner, 0}};
                    if (!mine::run(fast_by, outer, visits))
                        break;
                }
            }
        }
    }
    report("one interruption");
    CHECK(all.refused > 10);
}

TEST_CASE("two and three things happen, inside each other or one after the other") {
    all = {};
    mine::watch();
    const unsigned stride = is_whole() ? 1 : 7;
    unsigned phase = 0;
    for (const uint64_t fast_by : drifts) {
        for (const doing outer : outer_ones) {
            for (unsigned which = 0; which < 64; ++which) {
                const doing what[] = {inner_ones[which % 4], inner_ones[which / 4 % 4],
                                      inner_ones[which / 16]};
                bool is_reached = true;
                for (unsigned a = 0; is_reached; ++a) {
                    is_reached = false;
                    bool is_reached_too = true;
                    for (unsigned b = a + phase++ % stride; is_reached_too; b += stride) {
                        is_reached_too = false;
                        for (unsigned c = b + phase++ % stride;; c += stride) {
                            const visit visits[] = {
                                {a, what[0], 0}, {b, what[1], 0}, {c, what[2], 0}};
                            if (!mine::run(fast_by, outer, visits))
                                break;
                            is_reached = is_reached_too = true;
                        }
                    }
                }
            }
        }
    }
    report("three interruptions");
    CHECK(all.runs > 10'000);
    // However they come, a reading takes a turn for each update that interrupts it and one more.
    CHECK(all.steps < 400);
}

namespace {

template <typename Clock>
void with_one_interruption() {
    using its = one_cpu<Clock>;
    all = {};
    its::watch();
    for (const doing outer : {doing{its::reads}, doing{its::updates}}) {
        for (const doing inner : {doing{its::reads}, doing{its::updates}}) {
            for (unsigned at = 0;; ++at) {
                const visit visits[] = {{at, inner, 0}};
                if (!its::run(0x100, outer, visits))
                    break;
            }
        }
    }
}

} // namespace

TEST_CASE("control: a line written in place is read half old and half new, a lock never") {
    with_one_interruption<clock::tested_clock>();
    CHECK(all.back + all.far + all.gave_up == 0);
    with_one_interruption<clock::one_slot_clock>();
    CHECK(all.back + all.far != 0);
    with_one_interruption<clock::seqlock_clock>();
    CHECK(all.gave_up != 0);
}
