// SPDX-License-Identifier: MIT
// Every event that is not readable is counted, once, for the right cause, with the right packet.
#include "nmisafe/ring_buffer/journal_test.hpp"

using namespace nmisafe::ring_buffer;

namespace {

uint32_t count_of(loss why) {
    return journal::in->lost[static_cast<unsigned>(why)];
}

} // namespace

TEST_CASE("a full buffer loses what comes, and goes on when it is read") {
    journal::begin(mode::discard, 256, 4, 0xffff'fe00);
    for (unsigned round = 0; round < 50; ++round) {
        while (journal::event(20)) {
        }
        journal::event(30);
        CHECK(journal::in->offset - journal::in->consumed <= 4 * 256);
        for (unsigned i = 0; i <= round % 3; ++i) // the fourth is still open
            CHECK(journal::read_one());
    }
    CHECK(count_of(loss::full) == journal::counted());
    CHECK(count_of(loss::full) >= 50);
    journal::finish();
}

TEST_CASE("no time is read for an event that is lost because the buffer is full") {
    journal::begin(mode::discard, 256, 2);
    while (journal::event(20)) {
    }
    const uint64_t now = test_clock::now;
    for (unsigned i = 0; i < 10; ++i)
        CHECK_FALSE(reserve(*journal::in, 1, 20, test_clock{}));
    CHECK(test_clock::now == now);
    CHECK(journal::in->nesting == 0);
}

TEST_CASE("a packet has the losses from before its last event, the next one those after it") {
    journal::begin(mode::discard, 256, 2);
    const auto discarded = [] {
        const auto found = take(*journal::in);
        REQUIRE(found);
        const uint64_t result = found->header->events_discarded;
        CHECK(uint64_t{found->header->lost[static_cast<unsigned>(loss::too_big)]} == result);
        release(*journal::in);
        return result;
    };
    journal::event(16);
    journal::event(1000); // lost
    journal::event(1000);
    journal::event(40);
    journal::event(40);
    journal::event(40); // opens the second packet: the first one's end
    journal::event(1000);
    close_packet(*journal::in, test_clock{});
    journal::event(1000);
    CHECK(discarded() == 2);
    CHECK(discarded() == 3);
    journal::event(16);
    close_packet(*journal::in, test_clock{});
    CHECK(discarded() == 4);
}

TEST_CASE("an event that ends with its sub-buffer has the packet's time and losses") {
    for (unsigned lap = 0; lap < 6; ++lap) { // of which the first have nothing to take from before
        journal::begin(mode::discard, 256, 2);
        for (unsigned i = 0; i <= lap; ++i) {
            journal::event(1000);
            journal::event(256 - packet_header_size - compact_header_size);
            CHECK(journal::in->offset % 256 == 0);
            const auto found = take(*journal::in);
            REQUIRE(found);
            CHECK(uint64_t{found->header->events_discarded} == i + 1);
            CHECK(uint64_t{found->header->timestamp_begin} ==
                  uint64_t{found->header->timestamp_end});
            CHECK(found->content == 256);
            journal::check(*found);
            release(*journal::in);
        }
        journal::finish();
    }
}

TEST_CASE("an interrupted writer's packet stops those that come all around") {
    for (const mode which : {mode::discard, mode::overwrite}) {
        journal::begin(which, 256, 4, 0xffff'fc00);
        journal::event(16);
        uint32_t serial;
        const reservation outer = journal::open(1, 16, serial);
        unsigned written = 0;
        while (journal::event(20))
            ++written;
        journal::event(20);
        CHECK(written > 20);
        CHECK(count_of(loss::wrap) == 2);
        CHECK(journal::counted() == 2);
        CHECK_FALSE(journal::read_one()); // nothing before it is complete
        journal::close(outer, serial);
        CHECK(journal::read_one());
        CHECK(journal::event(20));
        journal::finish();
        CHECK(journal::gaps == 0);
    }
}

// T13: a context that never comes back costs its own packet.
TEST_CASE("behind a writer that never returns the other packets are read") {
    journal::begin(mode::discard, 256, 4);
    uint32_t serial;
    const reservation dead = journal::open(1, 16, serial);
    CHECK(dead);
    while (journal::event(20)) {
    }
    CHECK(take(*journal::in).error() == no_packet::nothing_yet);
    CHECK(skip(*journal::in));
    journal::next_sequence = 1;
    unsigned read = 0;
    while (journal::read_one())
        ++read;
    CHECK(read == 2);
    CHECK(journal::wrong == 0);
    CHECK_FALSE(skip(*journal::in)); // it may still be written
}

TEST_CASE("sixteen contexts may be in a buffer, and the next one is counted") {
    journal::begin(mode::discard, 4096, 4);
    constexpr unsigned contexts = 16; // not the constant: fewer would be too few
    reservation open[contexts];
    uint32_t serials[contexts];
    for (unsigned i = 0; i < contexts; ++i) {
        open[i] = journal::open(1, 16, serials[i]);
        REQUIRE(open[i]);
    }
    CHECK_FALSE(journal::event(16));
    CHECK_FALSE(journal::event(16));
    CHECK(count_of(loss::nesting) == 2);
    for (unsigned i = contexts; i-- != 0;)
        journal::close(open[i], serials[i]);
    CHECK(journal::event(16));
    journal::finish();
    CHECK(journal::counted() == 2);
}

TEST_CASE("the counters pass 2^32, and what packets say of them does not") {
    journal::begin(mode::discard, 256, 4);
    journal::in->lost[0] = 0xffff'fffe; // as after so many losses, ...
    journal::in->last_lost[0] = 0xffff'fffe;
    journal::in->total_lost[0] = 0x1'ffff'fffe; // ... which the reader has seen
    journal::last_discarded = 0x1'ffff'fffe;
    for (unsigned round = 0; round < 3; ++round) {
        while (journal::event(20)) {
        }
        journal::read_all();
    }
    journal::event(20);
    close_packet(*journal::in, test_clock{});
    journal::read_all();
    CHECK(journal::in->lost[0] == 1);
    CHECK(journal::last_discarded == 0x2'0000'0001);
    CHECK(journal::wrong == 0);
}
