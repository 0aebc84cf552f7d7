// SPDX-License-Identifier: MIT
// Writers inside each other and a reader beside them, at every access to the buffer: not at random
// but all of it, up to a number of interruptions. A share of it with `./test`, and the whole with
// the environment's NMISAFE_WHOLE (the target ring_buffer_interleavings).
#include "nmisafe/ring_buffer/interleaving_test.hpp"

using namespace nmisafe::ring_buffer;

TEST_CASE("anything happens at each access of a writer") {
    begin_counting();
    in_each_set_up({60, 0, 21, 12, 11}, [](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::each);
        for (const auto outer : outer_ones) {
            for (const auto inner : inner_ones) {
                const bool may_lose = how.is_unread || how.slots == 2 || outer == all_around ||
                                      inner == all_around || inner == too_big;
                for (unsigned at = 0;; ++at) {
                    const visit visits[] = {inside(at, inner)};
                    if (!try_one(from, outer, nullptr, visits, may_lose))
                        break;
                }
            }
        }
    });
    report("one interruption");
    CHECK(all.runs > 50'000);
    for (unsigned i = 0; i < loss_count - 1; ++i)
        CHECK(all.losses[i] > 100);
    CHECK(all.gaps > 100);
    CHECK(all.taken > 100);
}

// Depth 2, or one behind the other: all positions of both, in the whole.
TEST_CASE("two things happen, inside each other or one after the other") {
    begin_counting();
    const unsigned stride = is_whole() ? 1 : 29;
    unsigned phase = 0;
    in_each_set_up({60, 0, 21, 12, 11}, [&](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::runs);
        for (const auto outer : {small, long_header, with_gap, packet_of_its_own, fills, ends_it}) {
            for (const auto first :
                 {small, with_gap, packet_of_its_own, two_packets, ends_it, reads}) {
                for (const auto second : inner_ones) {
                    bool is_reached = true;
                    for (unsigned at = phase++ % (is_whole() ? 1u : 7u); is_reached;
                         at += is_whole() ? 1u : 7u) {
                        is_reached = false;
                        for (unsigned then = at + phase++ % stride;; then += stride) {
                            const visit visits[] = {inside(at, first), inside(then, second)};
                            if (!try_one(from, outer, nullptr, visits))
                                break;
                            is_reached = true;
                        }
                    }
                }
            }
        }
    });
    report("two interruptions");
    CHECK(all.runs > 10'000);
}

// In the whole, all positions of two and every seventh of the last one.
TEST_CASE("three things happen") {
    begin_counting();
    const unsigned stride = is_whole() ? 7 : 29;
    const unsigned outer_stride = is_whole() ? 1 : 11;
    unsigned phase = 0;
    in_each_set_up({21, 0, 12}, [&](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::runs);
        constexpr doing inner[] = {small, packet_of_its_own, reads, is_looked_at_dead};
        for (const auto outer : {small, packet_of_its_own, fills}) {
            for (unsigned which = 0; which < 36; ++which) {
                const doing what[] = {inner[which % 3], inner[which / 3 % 3], inner[which / 9]};
                bool is_reached = true;
                for (unsigned a = phase++ % outer_stride; is_reached; a += outer_stride) {
                    is_reached = false;
                    bool is_reached_too = true;
                    for (unsigned b = a + phase++ % outer_stride; is_reached_too;
                         b += outer_stride) {
                        is_reached_too = false;
                        for (unsigned c = b + phase++ % stride;; c += stride) {
                            const visit visits[] = {inside(a, what[0]), inside(b, what[1]),
                                                    inside(c, what[2])};
                            if (!try_one(from, outer, nullptr, visits))
                                break;
                            is_reached = is_reached_too = true;
                        }
                    }
                }
            }
        }
    });
    report("three interruptions");
    CHECK(all.runs > 3'000);
}

// Both CPUs stop anywhere: the reader for so many steps at one of the writer's, the rest at another
// one, and a writer inside somewhere.
TEST_CASE("a reader beside a writer, both at each access") {
    begin_counting();
    const unsigned stride = is_whole() ? 1 : 37;
    unsigned phase = 0;
    in_each_set_up({60, 0, 12}, [&](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::runs);
        for (const auto other : {reads, copies}) {
            for (const auto outer : {small, packet_of_its_own, two_packets, all_around}) {
                bool is_reached = true;
                for (unsigned at = phase++ % (is_whole() ? 1u : 5u); is_reached;
                     at += is_whole() ? 1u : 5u) {
                    is_reached = false;
                    constexpr unsigned reader_steps = 45; // more than it has
                    for (unsigned steps = 2; steps < reader_steps; ++steps) {
                        for (unsigned then = at + phase++ % stride;; then += stride) {
                            const visit visits[] = {beside(at, steps), beside(then, reader_steps)};
                            if (!try_one(from, outer, other, visits))
                                break;
                            is_reached = true;
                        }
                    }
                }
            }
        }
    });
    report("a reader beside");
    CHECK(all.runs > 10'000);
    CHECK(all.taken > 1'000);
}

TEST_CASE("a reader beside a writer that is interrupted") {
    begin_counting();
    const unsigned stride = is_whole() ? 3 : 37;
    const unsigned outer_stride = is_whole() ? 3 : 17;
    unsigned phase = 0;
    in_each_set_up({0, 12}, [&](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::runs);
        for (const auto outer : {packet_of_its_own, two_packets}) {
            for (const auto inner : {small, two_packets, all_around}) {
                bool is_reached = true;
                for (unsigned at = phase++ % outer_stride; is_reached; at += outer_stride) {
                    is_reached = false;
                    for (unsigned steps = 2 + phase++ % 3; steps < 30; steps += 3) {
                        bool is_reached_too = true;
                        for (unsigned b = at + phase++ % outer_stride; is_reached_too;
                             b += outer_stride) {
                            is_reached_too = false;
                            for (unsigned c = b + phase++ % stride;; c += stride) {
                                const visit visits[] = {beside(at, steps), inside(b, inner),
                                                        beside(c, 4)};
                                if (!try_one(from, outer, reads, visits))
                                    break;
                                is_reached = is_reached_too = true;
                            }
                        }
                    }
                }
            }
        }
    });
    report("a reader beside, and a writer inside");
    CHECK(all.runs > 2'000);
}

// The commits of two that are inside a third make up a sum as if that were committed too.
TEST_CASE("a machine dies while three writers are inside each other") {
    begin_counting();
    in_each_set_up({60}, [](const set_up& how) {
        const beginning from(how);
        watch(*journal::in, grain::runs);
        bool is_reached = true;
        for (unsigned a = 0; is_reached; a += is_whole() ? 1u : 2u) {
            is_reached = false;
            bool is_reached_too = true;
            for (unsigned b = a; is_reached_too; ++b) {
                is_reached_too = false;
                for (unsigned c = b;; ++c) {
                    const visit visits[] = {inside(a, small), inside(b, small),
                                            inside(c, is_looked_at_dead)};
                    if (!try_one(from, small, nullptr, visits))
                        break;
                    is_reached = is_reached_too = true;
                }
            }
        }
    });
    report("deaths");
    CHECK(all.runs > 10'000);
}

namespace {

bool is_noticed(doing outer, doing inner) {
    const beginning from(set_up{mode::discard, 4, 60, false, false});
    watch(*journal::in, grain::each);
    for (unsigned at = 0;; ++at) {
        from.restore();
        const visit one = inside(at, inner);
        if (access_steps::run(outer, nullptr, &one, 1).visited == 0)
            return false;
        journal::settle();
        if (std::exchange(journal::wrong, 0) != 0)
            return true;
    }
}

// What a careless writer would do.
void commits_first() {
    uint32_t serial;
    const reservation to = journal::open(1, 16, serial);
    journal::expect(static_cast<bool>(to), "no room");
    attempt& mine = journal::attempts[serial];
    mine.after = test_clock::now;
    mine.packet = (to.end - 1) & ~journal::in->sub_buffer_mask;
    mine.what = fate::written;
    commit(*journal::in, to);
    const journal::content begin{serial, 16};
    std::memcpy(to.payload, &begin, sizeof begin);
    for (uint32_t i = sizeof begin; i < 16; ++i)
        to.payload[i] = journal::pattern(serial, i);
}

void takes_the_time_first() {
    struct early_clock {
        uint64_t time;
        uint64_t read() const { return time; }
    };
    const uint64_t time = test_clock{}.read();
    const uint32_t serial = __sync_fetch_and_add(&journal::count, 1);
    attempt& mine = journal::attempts[serial];
    mine = {fate::none, 0, 8, 1, time - 1, 0, 0};
    journal::close(reserve(*journal::in, 1, 8, early_clock{time}), serial);
}

void ends_it_and_reads() {
    ends_it();
    reads();
}

/// How often the clock is read, at most, by a writer and another one at one of its accesses.
uint64_t most_readings() {
    const beginning from(set_up{mode::discard, 4, 60, false, false});
    watch(*journal::in, grain::each);
    uint64_t most = 0;
    for (unsigned at = 0;; ++at) {
        from.restore();
        const visit one = inside(at, small);
        const uint64_t before = test_clock::now;
        if (access_steps::run(small, nullptr, &one, 1).visited == 0)
            return most;
        most = std::max(most, test_clock::now - before);
    }
}

} // namespace

// A compiler that leaves out its call before the exchange would hide the very place between it and
// the clock: there alone a writer begins again.
TEST_CASE("the exchange that reserves is an access of its own") {
    CHECK(most_readings() == 3);
}

TEST_CASE("controls: writers that do it in the wrong order are noticed") {
    CHECK_FALSE(is_noticed(small, ends_it_and_reads));
    CHECK_FALSE(is_noticed(small, is_looked_at_dead));
    CHECK(is_noticed(commits_first, ends_it_and_reads));
    CHECK(is_noticed(commits_first, is_looked_at_dead));
    CHECK_FALSE(is_noticed(small, small));
    CHECK(is_noticed(takes_the_time_first, small));
}
