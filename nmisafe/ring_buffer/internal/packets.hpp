// SPDX-License-Identifier: MIT
/// Packets are opened, closed and delivered: what a writer does at a sub-buffer's ends.
///
/// Each step may be interrupted by other writers of the same CPU, which then do all of theirs.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/ring_buffer/internal/places.hpp"
#include "nmisafe/x86/local.hpp"

namespace nmisafe::ring_buffer::internal {

/// The counters as a reservation finds them. Taken like its time, between the reading of the offset
/// and the compare-exchange: so those of packets are in the packets' order.
struct lost_events {
    uint32_t by[loss_count];

    [[NMISAFE_TRAP_INLINE]] static lost_events now(const header& in) {
        return {{load(in.lost[0]), load(in.lost[1]), load(in.lost[2]), load(in.lost[3])}};
    }
};

[[NMISAFE_TRAP_INLINE]] inline void count_lost(header& in, loss why) {
    x86::increment(in.lost[static_cast<unsigned>(why)]);
}

/// By the one commit that made the slot complete: nobody else writes it until it is ready. If an
/// NMI's events come here, all around, they are lost: loss::wrap.
inline void deliver(header& in, slot& complete, uint32_t committed) {
    __atomic_store_n(&complete.committed, committed - in.sub_buffer + ring_size(in),
                     __ATOMIC_RELEASE);
    store(in.is_ready, 1);
}

/// Adds what is now written. Commits come in any order, so just one finds the slot complete.
[[NMISAFE_TRAP_INLINE]] inline void commit_bytes(header& in, slot& to, uint32_t length) {
    const uint32_t committed = x86::add_fetch(to.committed, length);
    if (committed == load(in.offset)) [[likely]] // then all that is reserved of it is there
        store(to.sure, committed);
    if ((committed & in.sub_buffer_mask) == 0) [[unlikely]]
        deliver(in, to, committed);
}

/// By the one reservation that closed the packet, before it commits the last bytes of it.
inline void note_end(header& in, slot& closed, uint64_t time, const lost_events& lost,
                     uint32_t content) {
    page_record& record = record_of(in, load(closed.page));
    record.end = time;
    record.content = content;
    for (unsigned i = 0; i < loss_count; ++i)
        record.lost[i] = lost.by[i];
}

/// The same of a packet that ends before its sub-buffer, at this position: the rest is nobody's.
inline void close(header& in, uint32_t end, uint64_t time, const lost_events& lost) {
    slot& closed = slot_of(in, end);
    const uint32_t content = end & in.sub_buffer_mask;
    note_end(in, closed, time, lost, content);
    compiler_barrier();
    commit_bytes(in, closed, in.sub_buffer - content);
}

/// By the one reservation that opened the packet.
inline void note_begin(header& in, uint32_t begin, uint64_t time) {
    slot& opened = slot_of(in, begin);
    opened.sequence += in.slot_count;
    page_record& record = record_of(in, load(opened.page));
    record.begin = time;
    record.sequence = opened.sequence;
    record.position = begin;
    record.is_empty = 0;
}

enum class readiness : uint8_t {
    ready, ///< The slot has this lap's page.
    stale, ///< The offset has moved meanwhile.
    full,
    wrap,
};

/// Whether a packet may begin at `begin`, which was found from `offset`; and if so, takes the slot
/// away from the reader, whose packet it was.
///
/// Nested writers do the same: whichever is first, the slot changes once from lap to lap, by a
/// compare-exchange that fails if they have gone on to later ones.
///
/// The compare-exchange has LOCK: the reader changes the word too. It fails once a lap at most.
inline readiness prepare(header& in, uint32_t offset, uint32_t begin) {
    slot& next = slot_of(in, begin);
    const uint32_t ring = ring_size(in);
    for (;;) {
        uint32_t page = load(next.page);
        compiler_barrier();
        readiness why = readiness::ready;
        if (load(next.committed) != begin)
            why = readiness::wrap;
        else if (in.mode == static_cast<uint8_t>(mode::discard) &&
                 begin - __atomic_load_n(&in.consumed, __ATOMIC_ACQUIRE) >= ring)
            why = readiness::full;
        compiler_barrier();
        if (load(in.offset) != offset) // the words read may be of different laps
            return readiness::stale;
        if (why != readiness::ready)
            return why;
        const uint32_t lap = lap_of(in, begin);
        const uint32_t found = page & in.sub_buffer_mask;
        if (found == lap)
            return readiness::ready;
        if (found != lap_of(in, begin - ring))
            return readiness::stale;
        if (__atomic_compare_exchange_n(&next.page, &page, (page & ~in.sub_buffer_mask) | lap,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return readiness::ready;
    }
}

} // namespace nmisafe::ring_buffer::internal
