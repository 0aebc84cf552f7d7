// SPDX-License-Identifier: MIT
// A buffer, all that was written into it, and a reader that believes nothing: what a packet holds
// is decoded as CTF says and compared with what the writers have noted.
#pragma once

#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/internal/places.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

namespace nmisafe::ring_buffer {

/// Never the same twice, at one instruction.
struct test_clock {
    alignas(8) static inline uint64_t now = 1;
    static inline uint64_t step = 1;
    uint64_t read() const { return __sync_add_and_fetch(&now, step); }
};

/// What packets begin with, if journal::opens says so.
struct test_opening {
    static constexpr uint32_t size = 8;
    static constexpr uint32_t id() { return 7; }
    static constexpr uint64_t content = 0x1122'3344'5566'7788;
    static void write(uint8_t* to) { std::memcpy(to, &content, size); }
};

enum class fate : uint8_t { none, written, lost };

/// What became of an event that a writer wanted to write.
struct attempt {
    fate what;
    uint32_t packet; ///< The position of its packet.
    uint32_t size;
    uint32_t id;
    uint64_t before; ///< The time, before it was reserved, ...
    uint64_t after;  ///< ... and when it was.
    uint32_t seen;   ///< How often it was read.
};

/// Static, and nothing is allocated, so that writers may run in signal handlers.
struct journal {
    static constexpr uint32_t capacity = 1 << 18;
    static inline std::array<attempt, capacity> attempts;
    static inline uint32_t count = 0;
    static inline bool opens = false;

    alignas(64) static inline std::array<uint8_t, 1 << 17> memory;
    static inline header* in = nullptr;

    // What the reader has found.
    static inline uint64_t next_sequence = 0;
    static inline uint64_t gaps = 0; ///< Packets that were overwritten.
    static inline uint32_t packets = 0;
    static inline uint64_t last_end = 0;
    static inline uint64_t last_discarded = 0;
    static inline uint64_t extended = 0; ///< Event headers of that kind.
    static inline uint64_t wrong = 0; ///< Of all that it has looked at; why is the first of them.
    static inline const char* why = "";
    static inline std::array<uint32_t, capacity>
        taken; ///< The positions of packets that were read.

    static void begin(mode which, uint32_t sub_buffer, uint32_t slots, uint32_t first = 0) {
        const auto made = create(memory.data(), memory.size(),
                                 {.sub_buffer_size = sub_buffer,
                                  .sub_buffer_count = slots,
                                  .mode = which,
                                  .cpu = 3,
                                  .stream_id = 5,
                                  .name = "test",
                                  .first_position = first});
        REQUIRE(made);
        in = *made;
        std::fill_n(attempts.begin(), count, attempt{});
        count = 0;
        next_sequence = gaps = last_end = last_discarded = extended = wrong = 0;
        packets = 0;
        opens = false;
        why = "";
        test_clock::step = 1;
    }

    static void expect(bool condition, const char* what) {
        if (!condition && wrong++ == 0)
            why = what;
    }

    static uint8_t pattern(uint32_t serial, uint32_t i) {
        return static_cast<uint8_t>(serial * 31 + i * 7 + 5);
    }

    struct [[gnu::packed]] content {
        uint32_t serial;
        uint32_t size;
    };

    /// One event, of a payload of `size` bytes, 8 at least.
    static reservation open(uint32_t id, uint32_t size, uint32_t& serial) {
        serial = __sync_fetch_and_add(&count, 1);
        attempt& mine = attempts[serial];
        mine.size = size;
        mine.id = id;
        mine.before = __sync_add_and_fetch(&test_clock::now, 0);
        return opens ? reserve(*in, id, size, test_clock{}, test_opening{})
                     : reserve(*in, id, size, test_clock{});
    }
    static void close(const reservation& to, uint32_t serial) {
        attempt& mine = attempts[serial];
        mine.after = __sync_add_and_fetch(&test_clock::now, 0);
        if (!to) {
            mine.what = fate::lost;
            return;
        }
        const content begin{serial, mine.size};
        std::memcpy(to.payload, &begin, sizeof begin);
        for (uint32_t i = sizeof begin; i < mine.size; ++i)
            to.payload[i] = pattern(serial, i);
        mine.packet = (to.end - 1) & ~in->sub_buffer_mask;
        mine.what = fate::written;
        commit(*in, to);
    }
    static bool event(uint32_t size = 16, uint32_t id = 1) {
        uint32_t serial;
        const reservation mine = open(id, size, serial);
        close(mine, serial);
        return static_cast<bool>(mine);
    }

    /// Writes until so many bytes are left in the packet.
    static void leave(uint32_t bytes) {
        constexpr uint32_t smallest = compact_header_size + 8;
        for (;;) {
            const uint32_t left = (0 - in->offset) & in->sub_buffer_mask;
            if (left == bytes)
                return;
            if (left > bytes && left - bytes >= smallest && left - bytes < 2 * smallest)
                event(left - bytes - compact_header_size);
            else if (left == 0 || (left > bytes && left - bytes > smallest))
                event(8);
            else
                close_packet(*in, test_clock{});
        }
    }

    /// Takes a packet, checks all of it, gives it back.
    static bool read_one() {
        const auto found = take(*in);
        if (!found) {
            expect(found.error() != no_packet::damaged, "damaged");
            return false;
        }
        check(*found);
        release(*in);
        return true;
    }
    static void read_all() {
        while (read_one()) {
        }
    }

    static void check(const packet& found) {
        const packet_header& head = *found.header;
        expect(head.magic == packet_magic && head.stream_id == 5 && head.cpu_id == 3, "header");
        expect(head.packet_seq_num >= next_sequence, "sequence goes back");
        gaps += head.packet_seq_num - next_sequence;
        next_sequence = head.packet_seq_num + 1;
        expect(head.timestamp_begin >= last_end, "begins before the last one's end");
        expect(head.timestamp_end >= head.timestamp_begin, "ends before it begins");
        last_end = head.timestamp_end;
        expect(head.events_discarded >= last_discarded, "discarded goes back");
        expect(head.events_discarded == head.lost[0] + head.lost[1] + head.lost[2] + head.lost[3],
               "discarded is not the sum");
        last_discarded = head.events_discarded;
        expect(head.content_size == uint64_t{found.content} * 8 &&
                   head.packet_size == uint64_t{in->sub_buffer} * 8 &&
                   found.content <= in->sub_buffer,
               "sizes");
        check_events(reinterpret_cast<const uint8_t*>(found.header), found.content,
                     head.timestamp_begin, head.timestamp_end);
        taken[packets % capacity] = in->consumed - (overwrites() ? in->sub_buffer : 0);
        __atomic_store_n(&packets, packets + 1, __ATOMIC_RELAXED);
    }

    template <typename T>
    static T value(const uint8_t* from) {
        T result;
        std::memcpy(&result, from, sizeof result);
        return result;
    }

    static void check_events(const uint8_t* bytes, uint32_t size, uint64_t begin, uint64_t end) {
        constexpr uint64_t low = (uint64_t{1} << compact_time_bits) - 1;
        uint64_t time = begin;
        uint64_t last = begin - 1;
        uint32_t at = packet_header_size;
        bool is_opening = opens;
        while (at < size) {
            const auto word = value<uint32_t>(bytes + at);
            uint32_t id = word & 31;
            if (id == extended_id) {
                id = value<uint32_t>(bytes + at + 1);
                time = value<uint64_t>(bytes + at + 5);
                at += extended_header_size;
                ++extended;
            } else {
                const uint64_t bits = word >> 5;
                time = (time & ~low) + bits + (bits < (time & low) ? low + 1 : 0);
                at += compact_header_size;
            }
            if (is_opening) { // at the time of the event that opens the packet
                is_opening = false;
                expect(id == test_opening::id() && time == begin, "does not begin with the state");
                expect(size - at > test_opening::size &&
                           value<uint64_t>(bytes + at) == test_opening::content,
                       "another state");
                at += test_opening::size;
                continue;
            }
            const auto found = value<content>(bytes + at);
            if (at + sizeof(content) > size || found.serial >= count || found.size > size - at) {
                expect(false, "not an event");
                return;
            }
            attempt& one = attempts[found.serial];
            expect(one.what == fate::written, "was not written");
            expect(one.id == id && one.size == found.size, "another event");
            expect(one.seen++ == 0, "seen twice");
            expect(time > last, "time does not grow");
            expect(time > one.before && time <= one.after, "not its time");
            expect(time <= end, "later than its packet");
            last = time;
            for (uint32_t i = sizeof(content); i < found.size; ++i)
                expect(bytes[at + i] == pattern(found.serial, i), "another content");
            at += found.size;
        }
        expect(at == size, "ends in an event");
    }

    static bool overwrites() { return in->mode == static_cast<uint8_t>(mode::overwrite); }
    static bool was_read(uint32_t packet) {
        const auto end = taken.begin() + std::min(packets, capacity);
        return std::find(taken.begin(), end, packet) != end;
    }

    static uint64_t counted() {
        uint64_t sum = 0;
        for (const uint32_t lost : in->lost)
            sum += lost;
        return sum;
    }

    /// Reads the rest; then each event is read or counted, or lay in a packet that was overwritten.
    static void settle() {
        read_all();
        close_packet(*in, test_clock{});
        read_all();
        uint64_t lost = 0;
        uint64_t unseen = 0;
        for (uint32_t i = 0; i < count; ++i) {
            expect(attempts[i].what != fate::none, "no fate");
            lost += attempts[i].what == fate::lost;
            if (attempts[i].what != fate::written || attempts[i].seen != 0)
                continue;
            ++unseen;
            expect(overwrites() && gaps != 0, "an event is missing");
            expect(static_cast<int32_t>(attempts[i].packet - oldest(*in)) < 0,
                   "an event is missing that was not overwritten");
            if (unseen < 100) // it takes long
                expect(!was_read(attempts[i].packet), "an event is missing in its packet");
        }
        expect(lost == counted(), "losses are not counted once");
        expect(last_discarded <= lost, "packets say that more was lost");
        expect(gaps == 0 || overwrites(), "a packet is missing");
        expect(in->nesting == 0, "nesting");
    }
    static void finish() {
        settle();
        INFO(doctest::String(why));
        CHECK(wrong == 0);
    }
};

} // namespace nmisafe::ring_buffer
