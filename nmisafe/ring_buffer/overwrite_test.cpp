// SPDX-License-Identifier: MIT
// A flight recorder: writers that overwrite what a slow reader is about to take.
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/ring_buffer/journal_test.hpp"

#include <thread>

using namespace nmisafe;
using namespace nmisafe::ring_buffer;
using platform::fake::boundary;
using platform::fake::step_through;
using platform::fake::stop_stepping;

namespace {

void write_some(unsigned events) {
    for (unsigned i = 0; i < events; ++i)
        journal::event(20);
}

} // namespace

TEST_CASE("the oldest packets go, and all that is left is read in order") {
    for (unsigned events = 1; events < 200; events += 3) { // T14: it ends at every place
        journal::begin(mode::overwrite, 256, 4, 0xffff'fe00);
        write_some(events);
        journal::finish();
        CHECK(journal::counted() == 0);
        const uint64_t all = journal::packets + journal::gaps;
        CHECK(all == (events + 5) / 6); // six events a packet
        CHECK(journal::packets == std::min<uint64_t>(all, 4));
    }
}

TEST_CASE("a packet that was taken stays as it is, however much is written") {
    journal::begin(mode::overwrite, 256, 2);
    for (unsigned round = 0; round < 20; ++round) {
        write_some(15);
        const auto found = take(*journal::in);
        REQUIRE(found);
        std::vector<uint8_t> before(found->size);
        std::memcpy(before.data(), found->header, found->size);
        write_some(40);
        CHECK(std::memcmp(before.data(), found->header, found->size) == 0);
        journal::check(*found);
        release(*journal::in);
    }
    journal::finish();
    CHECK(journal::gaps > 20);
}

// The writers come at each instruction of the reader, and go on over what it reads or further.
TEST_CASE("a reader is overtaken at each of its instructions") {
    for (const unsigned events : {1u, 7u, 13u, 30u, 90u}) {
        unsigned when = 0;
        for (bool is_reached = true; is_reached;) {
            is_reached = false;
            journal::begin(mode::overwrite, 256, 4, 0xffff'fe00);
            write_some(40);
            // Only take() up to its copying of the header: later steps touch what is the reader's.
            base::expected<packet, no_packet> found = base::unexpected(no_packet::damaged);
            step_through([&] { found = take(*journal::in); },
                         [&](const boundary& at) {
                             if (at.number != when)
                                 return;
                             is_reached = true;
                             write_some(events);
                             stop_stepping();
                         });
            if (found) {
                journal::check(*found);
                release(*journal::in);
            } else {
                REQUIRE(found.error() == no_packet::too_slow);
            }
            journal::finish();
            REQUIRE(journal::wrong == 0);
            REQUIRE(journal::counted() == 0);
            when += when < 120 ? 1 : 23;
        }
        CHECK(when > 50);
    }
}

TEST_CASE("a copy is all of a packet, or refused") {
    static uint8_t page[256];
    for (const unsigned events : {1u, 13u, 30u}) {
        unsigned refused = 0;
        unsigned copied = 0;
        unsigned when = 0;
        for (bool is_reached = true; is_reached; when += 61) {
            is_reached = false;
            journal::begin(mode::overwrite, 256, 4, 0xffff'fe00);
            write_some(40);
            page_record record{};
            bool is_copied = false;
            const uint32_t first = oldest(*journal::in);
            step_through([&] { is_copied = copy(*journal::in, first, page, record); },
                         [&](const boundary& at) {
                             if (at.number != when)
                                 return;
                             is_reached = true;
                             write_some(events);
                             stop_stepping();
                         });
            refused += !is_copied;
            copied += is_copied;
            if (!is_copied)
                continue;
            CHECK(record.position == first);
            journal::check_events(page, record.content, record.begin, record.end);
            REQUIRE(journal::wrong == 0);
        }
        CHECK(copied > 0);
        CHECK((refused > 5 || events == 1));
    }
}

namespace {

// The reader on another CPU, as long as it is to.
template <typename Read>
void beside(Read read, unsigned events) {
    bool is_over = false;
    std::thread reader([&] {
        while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
            if (!read())
                std::this_thread::yield();
        }
    });
    for (unsigned i = 0; i < events; ++i) {
        journal::event(8 + i % 50);
        // On a busy machine it may not have come at all: then there is something to be read.
        while (i % 2048 == 2047 && __atomic_load_n(&journal::packets, __ATOMIC_RELAXED) <= i / 2048)
            std::this_thread::yield();
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
    reader.join();
}

} // namespace

TEST_CASE("a reader on another CPU finds whole packets, in both modes") {
    for (const mode which : {mode::discard, mode::overwrite}) {
        journal::begin(which, 1024, 4, 0xffff'0000);
        // `check` looks at attempts that are complete: their packets were delivered after them.
        beside([] { return journal::read_one(); }, 100'000);
        journal::finish();
        CHECK(journal::packets > 40);
        if (which == mode::overwrite)
            CHECK(journal::counted() == 0);
    }
}
