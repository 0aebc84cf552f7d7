// SPDX-License-Identifier: MIT
/// Reservations near a packet's ends.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/ring_buffer/internal/packets.hpp"

namespace nmisafe::ring_buffer {

/// Bytes that are a writer's, until it commits them.
struct reservation {
    uint8_t* payload; ///< Null: the event is lost, and counted.
    slot* in;
    uint32_t length; ///< Header and all.
    uint32_t end;

    constexpr explicit operator bool() const { return payload != nullptr; }
};

/// What a packet begins with: an event that is written along with the one that opens the packet, at
/// the same time, and is no event of its own for the counters. This one is none; others have such
/// functions.
struct no_opening {
    static constexpr uint32_t size = 0; ///< Of its payload.
    static constexpr uint32_t id() { return 0; }
    static void write(uint8_t*) {} ///< The payload. @context any
};

namespace internal {

// Stores that need no alignment.
struct [[gnu::packed, gnu::may_alias]] packed_32 {
    uint32_t value;
};
struct [[gnu::packed, gnu::may_alias]] packed_64 {
    uint64_t value;
};

[[NMISAFE_TRAP_INLINE]] inline uint32_t without_low_bits(uint64_t time) {
    return static_cast<uint32_t>(time >> compact_time_bits);
}

/// @return where the payload begins
[[NMISAFE_TRAP_INLINE]] inline uint8_t* write_header(uint8_t* to, uint32_t id, uint64_t time,
                                                     bool is_compact) {
    if (is_compact) [[likely]] {
        constexpr unsigned id_bits = 32 - compact_time_bits;
        reinterpret_cast<packed_32*>(to)->value = static_cast<uint32_t>(time) << id_bits | id;
        return to + compact_header_size;
    }
    to[0] = extended_id;
    reinterpret_cast<packed_32*>(to + 1)->value = id;
    reinterpret_cast<packed_64*>(to + 5)->value = time;
    return to + extended_header_size;
}

/// Nothing is reserved.
inline reservation lose(header& in, loss why) {
    count_lost(in, why);
    x86::decrement(in.nesting);
    reservation none; // one by one: clang -O0 calls memset() for zeros
    none.payload = nullptr;
    none.in = nullptr;
    none.length = none.end = 0;
    return none;
}

/// What reserve() does, for every case. The time is not read if there is no room: to lose events
/// costs no more than to record them.
template <typename Clock, typename Opening>
[[gnu::noinline]] reservation reserve_slow(header& in, uint32_t id, uint32_t payload,
                                           const Clock& clock, Opening opening) {
    const uint32_t sub_buffer = in.sub_buffer;
    // A packet's first events may be compact: the packet says when it begins.
    const uint32_t first = id < extended_id ? compact_header_size : extended_header_size;
    const bool opening_is_compact = Opening::size != 0 && opening.id() < extended_id;
    uint32_t before = packet_header_size; // what a packet has before the event that opens it
    if constexpr (Opening::size != 0)
        before += Opening::size + (opening_is_compact ? compact_header_size : extended_header_size);
    if (payload > sub_buffer - before - first)
        return lose(in, loss::too_big);
    for (;;) {
        const uint32_t offset = load(in.offset);
        compiler_barrier(); // the time is read behind it: the order of both is then the same
        const uint32_t inside = offset & in.sub_buffer_mask;
        const uint32_t begin = (offset + in.sub_buffer_mask) & ~in.sub_buffer_mask;
        bool opens = inside == 0 || inside + first + payload > sub_buffer;
        readiness next = opens ? prepare(in, offset, begin) : readiness::ready;
        uint64_t time = 0;
        bool is_compact = id < extended_id;
        if (next == readiness::ready) {
            time = clock.read();
            is_compact = is_compact && (opens || without_low_bits(time) == load(in.last_time));
            if (!opens && !is_compact && inside + extended_header_size + payload > sub_buffer) {
                opens = true;
                is_compact = id < extended_id;
                next = prepare(in, offset, begin);
            }
        }
        if (next == readiness::stale)
            continue;
        if (next != readiness::ready)
            return lose(in, next == readiness::full ? loss::full : loss::wrap);

        const lost_events lost = lost_events::now(in);
        const uint32_t head = is_compact ? compact_header_size : extended_header_size;
        const uint32_t length = head + payload + (opens ? before : 0);
        const uint32_t start = opens ? begin : offset;
        if (x86::compare_exchange(in.offset, offset, start + length) != offset)
            continue;
        store(in.last_time, without_low_bits(time));
        if (opens && inside != 0)
            close(in, offset, time, lost);
        if (opens)
            note_begin(in, begin, time);
        slot& mine = slot_of(in, start);
        const uint32_t end = start + length;
        if ((end & in.sub_buffer_mask) == 0) // it is also the packet's last
            note_end(in, mine, time, lost, sub_buffer);
        uint8_t* to = page_of(in, load(mine.page)) + (opens ? packet_header_size : inside);
        if constexpr (Opening::size != 0) {
            if (opens) {
                to = write_header(to, opening.id(), time, opening_is_compact);
                opening.write(to);
                to += Opening::size;
            }
        }
        return {write_header(to, id, time, is_compact), &mine, length, end};
    }
}

} // namespace internal

} // namespace nmisafe::ring_buffer
