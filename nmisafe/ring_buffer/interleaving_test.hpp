// SPDX-License-Identifier: MIT
// What writers and a reader do, where a buffer stands before, and one run with visits: of
// interleaving_test.cpp.
#pragma once

#include "nmisafe/platform/fake/access_steps.hpp"
#include "nmisafe/ring_buffer/journal_test.hpp"

#include <cstdlib>
#include <span>
#include <string>

namespace nmisafe::ring_buffer {

namespace access_steps = platform::fake::access_steps;
using access_steps::grain;
using access_steps::unwatched;
using access_steps::visit;

inline bool is_whole() {
    return std::getenv("NMISAFE_WHOLE") != nullptr;
}

// What happens, outside or inside.

inline void small() {
    journal::event(8);
}
inline void long_header() {
    __sync_add_and_fetch(&test_clock::now, uint64_t{1} << 40);
    journal::event(8, 40);
}
inline void with_gap() {
    __sync_add_and_fetch(&test_clock::now, uint64_t{1} << 40);
    journal::event(8);
}
inline void packet_of_its_own() {
    journal::event(100);
}
inline void two_packets() {
    journal::event(100);
    journal::event(100);
}
inline void all_around() {
    for (unsigned i = 0; i <= journal::in->slot_count; ++i)
        journal::event(100);
}
inline void fills() { // to the packet's last byte, if nobody comes between
    const uint32_t left = (0 - journal::in->offset) & journal::in->sub_buffer_mask;
    journal::event(left > 4 + compact_header_size + 8 ? left - compact_header_size : 8);
}
inline void too_big() {
    journal::event(1000);
}
inline void ends_it() {
    close_packet(*journal::in, test_clock{});
}

inline bool is_reading;

// The reader, on a CPU of its own: two packets, each held for a step and unchanged meanwhile.
inline void reads() {
    if (is_reading) // there is one
        return;
    is_reading = true;
    static std::array<uint8_t, 256> before;
    for (unsigned i = 0; i < 2; ++i) {
        const auto found = take(*journal::in);
        {
            const unwatched checks;
            if (!found) {
                journal::expect(found.error() != no_packet::damaged, "damaged");
                break;
            }
            journal::check(*found);
            std::memcpy(before.data(), found->header, found->size);
        }
        access_steps::step();
        {
            const unwatched checks;
            journal::expect(std::memcmp(before.data(), found->header, found->size) == 0,
                            "a packet changes that the reader holds");
        }
        release(*journal::in);
    }
    is_reading = false;
}

// Events that are also read later.
inline void check_apart(const uint8_t* bytes, uint32_t size, const page_record& record,
                        uint64_t end) {
    std::array<uint32_t, 64> seen;
    const uint64_t extended = journal::extended;
    for (size_t i = 0; i < seen.size(); ++i)
        seen[i] = std::exchange(journal::attempts[i].seen, 0);
    journal::check_events(bytes, size, record.begin, end);
    for (size_t i = 0; i < seen.size(); ++i)
        journal::attempts[i].seen = seen[i];
    journal::extended = extended;
}

// Of all packets that may be there.
inline void copies() {
    static std::array<uint8_t, 256> page;
    const uint32_t first = oldest(*journal::in);
    for (uint32_t i = 0; i < journal::in->slot_count; ++i) {
        page_record record{};
        const uint32_t position = first + i * journal::in->sub_buffer;
        if (!copy(*journal::in, position, page.data(), record))
            continue;
        const unwatched checks;
        journal::expect(record.position == position, "a copy of another packet");
        check_apart(page.data(), record.content, record, record.end);
    }
}

// The machine dies: what its memory says is committed is whole.
inline void is_looked_at_dead() {
    const unwatched checks;
    copies();
    header& in = *journal::in;
    for (uint32_t i = 0; i < in.slot_count; ++i) {
        const uint32_t position = oldest(in) + i * in.sub_buffer;
        const slot& its = internal::slot_of(in, position);
        const page_record& record = internal::record_of(in, its.page);
        if ((its.page & in.sub_buffer_mask) != internal::lap_of(in, position) ||
            record.position != position || record.is_empty != 0)
            continue;
        uint32_t size = its.sure - position;
        if (its.committed - position == in.sub_buffer)
            size = record.content;
        else if (its.committed == in.offset)
            size = in.offset - position;
        if (size > packet_header_size && size < in.sub_buffer)
            check_apart(internal::page_of(in, its.page), size, record, ~uint64_t{0});
    }
}

// Before it begins.
struct set_up {
    mode which;
    uint32_t slots;
    uint32_t left;  ///< Bytes in the packet that is being written.
    bool is_unread; ///< As many packets as there may be wait for the reader.
    bool opens;     ///< Packets begin with an event of their own.
};

inline void watch(const header& in, grain records) {
    using namespace access_steps;
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&in);
    watch_nothing();
    watch(&in.offset, offsetof(header, sub_buffer_mask) - offsetof(header, offset), grain::each);
    watch(&in.consumed, sizeof in.consumed, grain::each);
    watch(bytes + in.slots, in.records - in.slots, grain::each);
    watch(bytes + in.records, in.pages - in.records, records);
    watch(bytes + in.pages, in.block_size - in.pages, grain::runs);
    watch(&test_clock::now, sizeof test_clock::now, grain::each);
}

/// All that a run changes, as it was before.
class beginning {
  public:
    explicit beginning(const set_up& how) {
        journal::begin(how.which, 256, how.slots, 0xffff'fd00);
        journal::opens = how.opens;
        test_clock::now = (uint64_t{1} << 32) - 500;
        for (uint32_t i = 1; how.is_unread && i < how.slots; ++i) {
            journal::event(24);
            close_packet(*journal::in, test_clock{});
        }
        journal::leave(how.left);
        if (!how.is_unread)
            journal::read_all();
        CHECK(journal::wrong == 0);
        std::memcpy(memory_.data(), journal::memory.data(), journal::in->block_size);
        std::copy_n(journal::attempts.begin(), attempts_.size(), attempts_.begin());
        now_ = test_clock::now;
        count_ = journal::count;
        sequence_ = journal::next_sequence;
        gaps_ = journal::gaps;
        packets_ = journal::packets;
        end_ = journal::last_end;
        discarded_ = journal::last_discarded;
    }
    void restore() const {
        std::memcpy(journal::memory.data(), memory_.data(), journal::in->block_size);
        std::copy_n(attempts_.begin(), attempts_.size(), journal::attempts.begin());
        test_clock::now = now_;
        journal::count = count_;
        journal::next_sequence = sequence_;
        journal::gaps = gaps_;
        journal::packets = packets_;
        journal::last_end = end_;
        journal::last_discarded = discarded_;
    }

  private:
    std::array<uint8_t, 4096> memory_;
    std::array<attempt, 64> attempts_;
    uint64_t now_, sequence_, gaps_, end_, discarded_;
    uint32_t count_, packets_;
};

struct totals {
    uint64_t runs;
    uint64_t losses[loss_count];
    uint64_t gaps;
    uint64_t taken; ///< Packets that were read before the end.
    unsigned steps; ///< At most, in one run.
};
inline totals all;

/// @return whether all visits came to pass. What comes later in a longer run is then void too.
inline bool try_one(const beginning& from, void (*outer)(), void (*other)(),
                    std::span<const visit> visits, bool may_lose = true) {
    from.restore();
    const uint32_t before = journal::packets;
    const auto out = access_steps::run(outer, other, visits.data(), visits.size());
    if (out.visited != visits.size())
        return false;
    ++all.runs;
    all.steps = std::max(all.steps, out.steps);
    all.taken += journal::packets - before;
    journal::settle();
    journal::expect(may_lose || journal::counted() == 0, "an event is lost without need");
    all.gaps += journal::gaps;
    for (unsigned i = 0; i < loss_count; ++i)
        all.losses[i] += journal::in->lost[i];
    if (journal::wrong != 0) {
        std::string where = journal::why;
        for (const visit& one : visits)
            where += " @" + std::to_string(one.at) + (one.what == nullptr ? "r" : "w") +
                     std::to_string(one.beside);
        FAIL(where);
    }
    return true;
}

constexpr visit inside(unsigned at, void (*what)()) {
    return {at, what, 0};
}
constexpr visit beside(unsigned at, unsigned steps) {
    return {at, nullptr, steps};
}

/// With packets that have an opening and with such that have none: both, in the whole; else every
/// third has one, a turn that none of the other properties goes by.
template <typename F>
inline void in_each_set_up(std::initializer_list<uint32_t> left, F action) {
    unsigned turn = 0;
    for (const mode which : {mode::discard, mode::overwrite}) {
        for (const uint32_t slots : {2u, 4u}) {
            for (const uint32_t bytes : left) {
                for (const bool is_unread : {false, true}) {
                    const bool opens = turn++ % 3 == 1;
                    action(set_up{which, slots, bytes, is_unread, opens});
                    if (is_whole())
                        action(set_up{which, slots, bytes, is_unread, !opens});
                }
            }
        }
    }
}

inline void begin_counting() {
    all = {};
}
inline void report(const char* what) {
    MESSAGE(std::string(what), ": ", all.runs, " runs, at most ", all.steps,
            " steps; losses: full ", all.losses[0], ", wrap ", all.losses[1], ", too big ",
            all.losses[2], "; packets taken in between ", all.taken, ", overwritten ", all.gaps);
}

using doing = void (*)();
inline constexpr doing outer_ones[] = {small, long_header, with_gap,  packet_of_its_own,
                                       fills, ends_it,     all_around};
inline constexpr doing inner_ones[] = {small,      with_gap,         packet_of_its_own, two_packets,
                                       all_around, ends_it,          too_big,           reads,
                                       copies,     is_looked_at_dead};

} // namespace nmisafe::ring_buffer
