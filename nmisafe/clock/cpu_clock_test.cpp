// SPDX-License-Identifier: MIT
// The latch with an NMI at each instruction of an update and of a reading.
#include "nmisafe/clock/cpu_clock.hpp"

#include "nmisafe/clock/cpu_clock_test.hpp"
#include "nmisafe/platform/fake/single_step.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace nmisafe;
using clock::test_counter;
using platform::fake::boundary;
using platform::fake::step_through;

namespace {

// Values whose halves all differ, and which pass the ends of their low halves: a reading that mixes
// two lines is far off.
constexpr uint64_t begin = 0x7fff'ffff'0000;
constexpr uint64_t counter_begin = 0x1234'ffff'fff0;
constexpr uint64_t interval = 0x5'0000'0000; // between two updates, in ticks and in time
constexpr uint64_t slack = 0x1000;           // what the readings themselves take

struct harm {
    uint64_t back = 0;
    uint64_t far = 0;
    uint64_t gave_up = 0;
    unsigned boundaries = 0;
};

// What a thread and its NMIs have read of one clock.
template <typename Clock>
struct watched {
    Clock clock{};
    uint64_t last = 0;
    harm seen{};

    void read() { check(clock.read()); }
    void check(uint64_t time) {
        seen.back += time < last;
        seen.far += time - last > 3 * interval && time >= last;
        last = time;
    }
};

// The reference says that the clock was slow or fast by so much.
template <typename Clock>
void begin_one(watched<Clock>& mine, uint64_t fast_by) {
    test_counter::now = counter_begin;
    test_counter::step = 1;
    mine.clock = {};
    mine.clock.start(begin, clock::rate_of_one);
    mine.last = begin;
    test_counter::now += interval;
    mine.clock.update(begin + interval);
    test_counter::now += interval + fast_by;
    mine.read();
}

// Each boundary near the beginning and the end of an update, and some of the many of its division,
// where nothing is stored.
unsigned after(unsigned when, unsigned boundaries) {
    return when + (when > 40 && when + 60 < boundaries ? 97 : 1);
}

// An NMI at boundary `when` of an update, which may be followed by another one `apart` later.
template <typename Clock>
harm nmi_in_update(uint64_t fast_by, unsigned apart) {
    watched<Clock> mine;
    begin_one(mine, fast_by);
    const unsigned boundaries =
        step_through([&] { mine.clock.update(begin + 2 * interval); }, [](const boundary&) {});
    for (unsigned when = 0; when < boundaries; when = after(when, boundaries)) {
        begin_one(mine, fast_by);
        step_through([&] { mine.clock.update(begin + 2 * interval); },
                     [&](const boundary& at) {
                         if (at.number != when && at.number != when + apart)
                             return;
                         test_counter::now += slack;
                         mine.read();
                         mine.read();
                         if (at.number == when + apart)
                             platform::fake::stop_stepping();
                     });
        mine.read();
        test_counter::now += interval / 8;
        mine.read();
        mine.seen.gave_up += mine.clock.gave_up;
    }
    mine.seen.boundaries = boundaries;
    return mine.seen;
}

// A tick, or two, with NMIs that read before, between and after, at each boundary of a reading.
template <typename Clock>
harm update_in_read(uint64_t fast_by) {
    watched<Clock> mine;
    unsigned boundaries = 1;
    for (unsigned when = 0; when < boundaries; ++when) {
        begin_one(mine, fast_by);
        uint64_t first = 0;
        const uint64_t before = mine.last;
        uint64_t outer = 0;
        boundaries = step_through([&] { outer = mine.clock.read(); },
                                  [&](const boundary& at) {
                                      if (at.number != when)
                                          return;
                                      mine.read();
                                      first = mine.last;
                                      mine.clock.update(begin + 2 * interval);
                                      mine.read();
                                      test_counter::now += interval;
                                      mine.clock.update(begin + 3 * interval);
                                      mine.read();
                                  });
        // It may be a time before the tick's, if that came behind the last look at the state.
        mine.seen.back += outer < before;
        mine.seen.far += outer > mine.last && outer - mine.last > interval;
        mine.read();
        mine.seen.back += mine.last < outer || mine.last < first;
    }
    mine.seen.boundaries = boundaries;
    return mine.seen;
}

constexpr uint64_t drifts[] = {0x100, 4 * interval};

} // namespace

TEST_CASE("an NMI at each instruction of an update reads a time, and none is below one before") {
    struct {
        uint64_t fast_by;
        unsigned apart;
    } const cases[] = {{0x100, 0}, {interval / 3, 20}};
    for (const auto& one : cases) {
        const harm seen = nmi_in_update<clock::tested_clock>(one.fast_by, one.apart);
        CHECK(seen.back == 0);
        CHECK(seen.far == 0);
        CHECK(seen.gave_up == 0);
        CHECK(seen.boundaries > 50);
    }
}

TEST_CASE("an update in each instruction of a reading, and none is below one before") {
    for (const uint64_t fast_by : drifts) {
        const harm seen = update_in_read<clock::tested_clock>(fast_by);
        CHECK(seen.back == 0);
        if (fast_by < interval)
            CHECK(seen.far == 0);
        CHECK(seen.boundaries > 10);
    }
}

TEST_CASE("control: a line written in place is read half old and half new") {
    const harm seen = nmi_in_update<clock::one_slot_clock>(0x100, 0);
    CHECK(seen.back + seen.far != 0);
}

TEST_CASE("control: with a sequence lock an NMI waits for what it interrupted") {
    CHECK(nmi_in_update<clock::seqlock_clock>(0x100, 0).gave_up != 0);
}

TEST_CASE("an update that NMIs do not let be gives up, and the next one makes it good") {
    watched<clock::tested_clock> mine;
    begin_one(mine, interval / 4);
    bool updated = true;
    step_through([&] { updated = mine.clock.update(begin + 2 * interval); },
                 [&](const boundary& at) {
                     if (at.number % 16 == 15) // the counter is read by a loop of its own on x86-32
                         mine.read();
                 });
    CHECK_FALSE(updated);
    CHECK(mine.seen.back == 0);
    for (unsigned i = 3; i < 20; ++i) {
        test_counter::now += interval;
        CHECK(mine.clock.update(begin + i * interval));
        mine.read();
    }
    CHECK(mine.seen.back == 0);
    CHECK(mine.last >= begin + 19 * interval);
    CHECK(mine.last < begin + 19 * interval + slack);
}

TEST_CASE("an update inside an update is refused") {
    watched<clock::tested_clock> mine;
    unsigned refused = 0;
    begin_one(mine, 0x100);
    const unsigned boundaries =
        step_through([&] { mine.clock.update(begin + 2 * interval); }, [](const boundary&) {});
    for (unsigned when = 0; when < boundaries; when = after(when, boundaries)) {
        begin_one(mine, 0x100);
        step_through([&] { mine.clock.update(begin + 2 * interval); },
                     [&](const boundary& at) {
                         if (at.number != when)
                             return;
                         refused += !mine.clock.update(begin + 2 * interval + 1);
                         platform::fake::stop_stepping();
                     });
        mine.read();
    }
    CHECK(refused > 10);
    CHECK(mine.seen.back == 0);
}

TEST_CASE("the clock follows its reference, whatever the counter does") {
    std::mt19937_64 random(3);
    watched<clock::tested_clock> mine;
    begin_one(mine, 0);
    uint64_t reference = begin + interval;
    uint64_t ticks = interval;
    for (unsigned i = 0; i < 100'000; ++i) {
        if (random() % 16 == 0)
            ticks = interval / 16 + random() % (4 * interval); // another speed
        const uint64_t parts = 1 + random() % 3;
        for (uint64_t part = 0; part < parts; ++part) {
            test_counter::now += ticks / parts;
            mine.read();
        }
        reference += interval;
        REQUIRE(mine.clock.update(reference));
        mine.read();
        REQUIRE(mine.last >= reference);
    }
    CHECK(mine.seen.back == 0);
    // The same speed for a while: what it was ahead is made up for at half the speed.
    for (unsigned i = 0; i < 200; ++i) {
        test_counter::now += interval;
        mine.read();
        reference += interval;
        mine.clock.update(reference);
    }
    mine.read();
    CHECK(mine.last - reference < slack);
}

TEST_CASE("a reference that goes back changes nothing, one that stands neither") {
    watched<clock::tested_clock> mine;
    begin_one(mine, 0);
    CHECK_FALSE(mine.clock.update(begin));
    mine.read();
    CHECK(mine.clock.update(begin + interval));
    mine.read();
    CHECK(mine.seen.back == 0);
    test_counter::now += interval;
    const uint64_t before = mine.last;
    mine.read();
    CHECK(mine.last - before >= interval - slack);
}

TEST_CASE("a counter that stands gives the time of the last update") {
    watched<clock::tested_clock> mine;
    begin_one(mine, 0);
    test_counter::step = 0;
    for (unsigned i = 2; i < 10; ++i) {
        CHECK(mine.clock.update(begin + i * interval));
        mine.read();
    }
    CHECK(mine.last == begin + 9 * interval);
}
