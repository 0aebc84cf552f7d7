// SPDX-License-Identifier: MIT
/// Writes events into a CPU's buffer: reserve, write the payload, commit.
///
/// A writer may be interrupted at any instruction by another one on the same CPU, which may do the
/// same, and so on, `maximum_nesting` deep. Nobody waits for anybody:
///
/// - *Reserve* moves the offset by a compare-exchange; who was interrupted in between by another
/// one
///   that moved it begins again. The clock is read between: so events lie in the order of time.
/// - *Commit* adds to the sub-buffer's count of written bytes, in whatever order the writers end.
///   The one that makes it complete delivers the packet, with what the reservations have noted.
///
/// No LOCK: only this CPU's contexts write these words. One LOCK CMPXCHG for each packet.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/ring_buffer/internal/reserve_slow.hpp"

namespace nmisafe::ring_buffer {

/// Reserves an event with the clock's present time. What comes between it and commit() is short,
/// runs on the same CPU, and always gets there.
///
/// @param in    of this CPU, which must stay this CPU until commit(): preemption is off
/// @param id    of the event; below 31 it takes 9 bytes less
/// @param clock has `uint64_t read() const`, to be called in any context, that never goes down here
/// @param opening what packets begin with, such as the state of the CPU
/// @return false: there is none to commit; the event was counted as lost
/// @context any, NMI included @locks none @faults never, if the block is mapped
template <typename Clock, typename Opening = no_opening>
[[NMISAFE_TRAP_INLINE]] inline reservation reserve(header& in, uint32_t id, uint32_t payload,
                                                   const Clock& clock, Opening opening = {}) {
    using namespace internal;
    x86::increment(in.nesting);
    if (load(in.nesting) > maximum_nesting) [[unlikely]]
        return lose(in, loss::nesting);
    constexpr uint32_t in_any_packet = 64; // below that no sum overflows and no room is too small
    if (!(__builtin_constant_p(payload) && payload <= in_any_packet) && payload >= in.room)
        [[unlikely]]
        return reserve_slow(in, id, payload, clock, opening);
    uint32_t offset = load(in.offset);
    for (;;) {
        compiler_barrier(); // see reserve_slow()
        const uint32_t inside = offset & in.sub_buffer_mask;
        if (inside == 0 || inside + payload >= in.room) [[unlikely]]
            return reserve_slow(in, id, payload, clock, opening);
        const uint64_t time = clock.read();
        const uint32_t high = without_low_bits(time);
        const bool is_compact = id < extended_id;
        if (is_compact && high != load(in.last_time)) [[unlikely]] // once a wrap of the low bits
            return reserve_slow(in, id, payload, clock, opening);
        const uint32_t length = (is_compact ? compact_header_size : extended_header_size) + payload;
        const uint32_t found = x86::compare_exchange(in.offset, offset, offset + length);
        if (found != offset) [[unlikely]] {
            offset = found;
            continue;
        }
        // Whoever comes before this store finds an older time, and writes a longer header.
        if (!is_compact)
            store(in.last_time, high);
        slot& mine = slot_of(in, offset);
        uint8_t* const to = page_of(in, load(mine.page)) + inside;
        return {write_header(to, id, time, is_compact), &mine, length, offset + length};
    }
}

/// Publishes a reservation, once.
/// @context that of reserve()
[[NMISAFE_TRAP_INLINE]] inline void commit(header& in, const reservation& written) {
    internal::compiler_barrier();
    internal::commit_bytes(in, *written.in, written.length);
    x86::decrement(in.nesting);
}

/// Ends the packet that is being written, if there is one, so that it can be read. The rest of its
/// sub-buffer stays unused.
/// @context any, on the buffer's CPU, preemption off @locks none
template <typename Clock>
void close_packet(header& in, const Clock& clock) {
    using namespace internal;
    for (;;) {
        const uint32_t offset = load(in.offset);
        compiler_barrier();
        if ((offset & in.sub_buffer_mask) == 0)
            return;
        const uint64_t time = clock.read();
        const lost_events lost = lost_events::now(in);
        const uint32_t next = (offset | in.sub_buffer_mask) + 1;
        if (x86::compare_exchange(in.offset, offset, next) != offset)
            continue;
        close(in, offset, time, lost);
        return;
    }
}

} // namespace nmisafe::ring_buffer
