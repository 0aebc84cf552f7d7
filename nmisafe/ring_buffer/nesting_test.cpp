// SPDX-License-Identifier: MIT
// Writers interrupted at each of their instructions by others, which are interrupted themselves.
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/ring_buffer/journal_test.hpp"

#include <iterator>
#include <sys/wait.h>
#include <unistd.h>

using namespace nmisafe;
using namespace nmisafe::ring_buffer;
using platform::fake::boundary;
using platform::fake::step_through;
using platform::fake::stop_stepping;

namespace {

using writer = void (*)();

void one() {
    journal::event(16);
}
void with_gap() {
    test_clock::now += uint64_t{1} << 40;
    journal::event(16);
}
void packet_of_its_own() {
    journal::event(100);
    journal::event(100);
}
void packets_then_a_loss() {
    packet_of_its_own();
    packet_of_its_own();
    journal::event(1000);
}
void all_around() {
    for (unsigned i = 0; i < 60; ++i)
        journal::event(20);
}
void all_around_twice_and_read() { // in discard mode as much as may be
    for (unsigned i = 0; i < 100; ++i) {
        journal::event(20);
        journal::read_all();
    }
}
void ends_it() {
    close_packet(*journal::in, test_clock{});
}

constexpr writer interrupting[] = {
    one,    with_gap, packet_of_its_own, packets_then_a_loss, all_around, all_around_twice_and_read,
    ends_it};

} // namespace

// T1, T2, T5, T10, T11, T12: whatever the interrupted writer had read is then of the past.
TEST_CASE("a writer is interrupted at each instruction, at each place of a packet") {
    unsigned boundaries = 0;
    unsigned turn = 0;
    for (const uint32_t left : {100u, 0u, 29u, 20u, 10u}) {
        const writer interrupted = turn / std::size(interrupting) % 2 == 0 ? with_gap : one;
        for (const writer nmi : interrupting) {
            const mode which = turn % 2 == 0 ? mode::discard : mode::overwrite;
            // A step takes long, so each NMI comes in a process of its own that is forked there, and the run goes
            // on without it to the next one's place.
            const unsigned stride = nmi == one || nmi == packets_then_a_loss ? 2 : 13;
            const unsigned first = turn++ % stride;
            journal::begin(which, 256, 4, 0xffff'fd00);
            test_clock::now = (uint64_t{1} << 32) - 500;
            journal::leave(left);
            bool is_interrupted = false;
            unsigned wrong = 0;
            step_through(interrupted, [&](const boundary& at) {
                if (at.number % stride != first)
                    return;
                ++boundaries;
                const pid_t child = fork();
                if (child == 0) {
                    is_interrupted = true;
                    nmi();
                    stop_stepping();
                    return;
                }
                int status = 0;
                wrong += child < 0 || waitpid(child, &status, 0) != child || status != 0;
            });
            if (is_interrupted) {
                journal::event(16);
                journal::finish();
                _exit(journal::wrong != 0 || (nmi == one && journal::counted() != 0) ? 1 : 0);
            }
            REQUIRE(wrong == 0);
        }
    }
    CHECK(boundaries > 400);
}

namespace {

std::mt19937 random_numbers;
unsigned deepest;
uint32_t reads;

uint32_t below(uint32_t n) {
    return static_cast<uint32_t>(random_numbers() % n);
}
bool one_in(uint32_t n) {
    return below(n) == 0;
}

// An event or more, each of which may be interrupted, and so on.
void random_writer(unsigned depth) {
    deepest = std::max(deepest, depth);
    for (unsigned events = 1 + below(3); events != 0; --events) {
        const uint32_t size = one_in(20) ? 300 : 8 + below(one_in(4) ? 100 : 20);
        const uint32_t id = one_in(10) ? 40 : 1;
        if (one_in(10))
            test_clock::now += uint64_t{1} << below(34);
        if (depth == 8 || one_in(3)) {
            journal::event(size, id);
            continue;
        }
        const unsigned when = below(110);
        step_through([=] { journal::event(size, id); },
                     [=](const boundary& at) {
                         if (at.number != when)
                             return;
                         if (depth == 1 &&
                             one_in(3)) // another CPU; it is not interrupted by this one
                             reads += journal::read_one();
                         if (one_in(12))
                             close_packet(*journal::in, test_clock{});
                         random_writer(depth + 1);
                         stop_stepping();
                     });
    }
}

} // namespace

// T15 too: what the reader sees never goes back.
TEST_CASE("random writers inside each other, eight deep, and a reader beside them") {
    random_numbers.seed(7);
    deepest = reads = 0;
    uint64_t lost[loss_count] = {};
    uint64_t gaps = 0;
    for (unsigned run = 0; run < 36; ++run) {
        const mode which = run % 2 == 0 ? mode::discard : mode::overwrite;
        const uint32_t slots = 2u << run % 3;
        journal::begin(which, 256, slots, 0 - (below(16)) * 256);
        test_clock::now = (uint64_t{1} << 32) - below(5000);
        for (unsigned i = 0; i < 8; ++i)
            random_writer(1);
        journal::finish();
        REQUIRE(journal::wrong == 0);
        for (unsigned i = 0; i < loss_count; ++i)
            lost[i] += journal::in->lost[i];
        gaps += journal::gaps;
    }
    // All of it has happened.
    CHECK(deepest == 8);
    CHECK(reads > 5);
    CHECK(gaps > 5);
    CHECK(lost[static_cast<unsigned>(loss::full)] > 5);
    CHECK(lost[static_cast<unsigned>(loss::wrap)] > 0);
    CHECK(lost[static_cast<unsigned>(loss::too_big)] > 5);
    CHECK(lost[static_cast<unsigned>(loss::nesting)] == 0);
}
