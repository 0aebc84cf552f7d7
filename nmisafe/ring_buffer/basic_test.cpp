// SPDX-License-Identifier: MIT
// One writer, every size, both ends of the positions.
#include "nmisafe/ring_buffer/journal_test.hpp"

#include <bit>

using namespace nmisafe::ring_buffer;
using nmisafe::ring_buffer::internal::packed_32;

namespace {

constexpr uint32_t biggest(uint32_t sub_buffer, uint32_t id) {
    return sub_buffer - packet_header_size -
           (id < extended_id ? compact_header_size : extended_header_size);
}

} // namespace

TEST_CASE("what is no buffer is refused") {
    static std::array<uint8_t, 8192> memory;
    const auto error = [](size_t size, uint32_t sub_buffer, uint32_t slots) {
        return create(memory.data(), size,
                      {.sub_buffer_size = sub_buffer, .sub_buffer_count = slots})
            .error();
    };
    CHECK(error(8192, 300, 4) == create_error::bad_size);
    CHECK(error(8192, 128, 4) == create_error::bad_size);
    CHECK(error(8192, 0, 4) == create_error::bad_size);
    CHECK(error(8192, 256, 1) == create_error::bad_count);
    CHECK(error(8192, 256, 3) == create_error::bad_count);
    CHECK(error(8192, 1u << 30, 2) == create_error::bad_size);
    CHECK(error(8192, 1u << 29, 4) == create_error::bad_count);
    CHECK(error(block_size(256, 4) - 1, 256, 4) == create_error::too_small);
    alignas(64) static std::array<uint8_t, 8192> aligned;
    CHECK(
        create(aligned.data() + 8, 8000, {.sub_buffer_size = 256, .sub_buffer_count = 4}).error() ==
        create_error::unaligned);
    CHECK(block_size(256, 4) == 256 + 4 * 32 + 5 * 64 + 5 * 256);
}

TEST_CASE("the block describes itself") {
    journal::begin(mode::discard, 256, 4);
    CHECK(is_buffer(journal::in, block_size(256, 4)));
    CHECK_FALSE(is_buffer(journal::in, block_size(256, 4) - 1));
    CHECK(std::memcmp(journal::in, "NMSAFER1", 8) == 0);
    CHECK(std::string(journal::in->name) == "test");
    // Each byte that tells where things are is looked at: magic to sub_buffer, and the copies.
    auto* const bytes = reinterpret_cast<uint8_t*>(journal::in);
    for (size_t i = 0; i < offsetof(header, cpu); ++i) {
        bytes[i] ^= 0x80;
        CHECK_FALSE(is_buffer(journal::in, sizeof journal::memory));
        bytes[i] ^= 0x80;
    }
    for (size_t i = offsetof(header, sub_buffer_mask); i < offsetof(header, room); ++i) {
        bytes[i] ^= 0x80;
        CHECK_FALSE(is_buffer(journal::in, sizeof journal::memory));
        bytes[i] ^= 0x80;
    }
    CHECK(is_buffer(journal::in, sizeof journal::memory));
}

TEST_CASE("events of every size come back, or are too big") {
    for (const uint32_t id : {0u, 1u, 30u, 31u, 1000u}) {
        for (const uint32_t first : {0u, 0xffff'fe00u}) {
            journal::begin(mode::discard, 512, 4, first);
            for (uint32_t size = 8; size <= 520; ++size) {
                const bool fits = size <= biggest(512, id);
                REQUIRE(journal::event(size, id) == fits);
                if (size % 3 == 0) // each place in a packet comes by
                    journal::event(8 + size % 7, 1);
                journal::read_all();
            }
            REQUIRE_FALSE(journal::event(0x7fff'ffff, id));
            REQUIRE_FALSE(journal::event(0xffff'ffff, id));
            journal::finish();
            CHECK(journal::in->lost[static_cast<unsigned>(loss::too_big)] ==
                  522 - biggest(512, id));
            CHECK(journal::counted() == 522 - biggest(512, id));
        }
    }
}

TEST_CASE("payloads of constant size, down to none, are where they should be") {
    journal::begin(mode::discard, 256, 2);
    header& in = *journal::in;
    const uint32_t start = in.offset;
    const reservation none = reserve(in, 7, 0, test_clock{});
    REQUIRE(none);
    commit(in, none);
    const reservation one = reserve(in, 8, 4, test_clock{});
    REQUIRE(one);
    reinterpret_cast<packed_32*>(one.payload)->value = 0x1234'5678;
    commit(in, one);
    close_packet(in, test_clock{});
    const auto found = take(in);
    REQUIRE(found);
    CHECK(found->content == packet_header_size + 4 + 4 + 4);
    const auto* const bytes = reinterpret_cast<const uint8_t*>(found->header) + packet_header_size;
    CHECK((journal::value<uint32_t>(bytes) & 31) == 7);
    CHECK((journal::value<uint32_t>(bytes + 4) & 31) == 8);
    CHECK(journal::value<uint32_t>(bytes + 8) == 0x1234'5678);
    CHECK(uint64_t{found->header->timestamp_begin} % (1 << 27) ==
          journal::value<uint32_t>(bytes) >> 5);
    release(in);
    CHECK(in.consumed == start + 256);
    CHECK(take(in).error() == no_packet::nothing_yet);
}

// A quiet CPU's time goes on by more than 27 bits; 32 bits pass too.
TEST_CASE("times are right over any gap, and headers are long only where they must be") {
    for (unsigned shift = 20; shift < 50; ++shift) {
        journal::begin(mode::discard, 4096, 4, 0x8000'0000);
        test_clock::now = 0xfff0'0000;
        for (unsigned i = 0; i < 100; ++i) {
            journal::event(12);
            test_clock::now += i % 5 == 0 ? uint64_t{1} << shift : 3;
        }
        journal::finish();
        if (shift >= 30)
            CHECK(journal::extended == 20);
    }
    // Without gaps: one at the most, of the first event that finds the past of another buffer.
    journal::begin(mode::discard, 256, 4);
    test_clock::now = uint64_t{5} << compact_time_bits;
    for (unsigned i = 0; i < 1000; ++i) {
        journal::event(12);
        journal::read_all();
    }
    journal::finish();
    CHECK(journal::packets > 100);
    CHECK(journal::extended == 0); // a packet's first has the packet's time
}

TEST_CASE("positions pass 2^32, with every number of packets before it") {
    for (const mode which : {mode::discard, mode::overwrite}) {
        for (uint32_t before = 0; before < 9; ++before) {
            journal::begin(which, 256, 4, 0 - before * 256);
            for (unsigned i = 0; i < 200; ++i) {
                journal::event(8 + i % 23);
                if (i % 3 == 0)
                    journal::read_all();
            }
            journal::finish();
            CHECK(journal::counted() == 0);
            CHECK(journal::gaps == 0);
            CHECK(journal::in->offset < 0x10000);
        }
    }
}

TEST_CASE("a closed packet ends where it was, and the next one begins later") {
    journal::begin(mode::discard, 256, 4);
    close_packet(*journal::in, test_clock{}); // of nothing
    CHECK(journal::in->offset == 0);
    for (unsigned i = 0; i < 20; ++i) {
        journal::event(8 + i);
        close_packet(*journal::in, test_clock{});
        close_packet(*journal::in, test_clock{});
        journal::read_all();
    }
    journal::finish();
    CHECK(journal::packets == 20);
}

TEST_CASE("a delivery is seen in a word, without a call") {
    journal::begin(mode::discard, 256, 4);
    while (journal::in->offset < 256) {
        CHECK(journal::in->is_ready == 0);
        journal::event(20);
    }
    CHECK(journal::in->is_ready == 1);
}

TEST_CASE("an unfinished packet's sure part ends where the first uncommitted event begins") {
    journal::begin(mode::discard, 1024, 2);
    header& in = *journal::in;
    journal::event(16);
    const slot& first = internal::slot_of(in, 0);
    CHECK(first.sure == in.offset);
    const uint32_t sure = in.offset;
    uint32_t serial;
    const reservation open = journal::open(1, 16, serial);
    journal::event(16);
    journal::event(16);
    CHECK(first.sure == sure);
    journal::close(open, serial);
    CHECK(first.sure == in.offset);
    CHECK(first.committed == in.offset);
    journal::event(16);
    CHECK(first.sure == in.offset);
    journal::finish();
}
