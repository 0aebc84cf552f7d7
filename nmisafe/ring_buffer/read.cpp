// SPDX-License-Identifier: MIT
#include "nmisafe/ring_buffer/read.hpp"

#include "nmisafe/base/word_64.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/internal/places.hpp"

namespace nmisafe::ring_buffer {

namespace {

using namespace internal;

bool overwrites(const header& in) {
    return in.mode == static_cast<uint8_t>(mode::overwrite);
}

uint32_t load_acquire(const uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

bool is_page(const header& in, uint32_t page) {
    return (page & ~in.sub_buffer_mask) <= ring_size(in);
}

// Positions are compared by their difference, which is never near 2^31.
bool is_behind(uint32_t position, uint32_t other) {
    return static_cast<int32_t>(position - other) < 0;
}

// Counters of 32 bits, sampled in the order of packets, continue as 64 bits.
void extend_lost(header& in, const page_record& record) {
    for (unsigned i = 0; i < loss_count; ++i) {
        in.total_lost[i] += record.lost[i] - in.last_lost[i];
        in.last_lost[i] = record.lost[i];
    }
}

packet describe(header& in, uint32_t page) {
    constexpr unsigned bits = 8;
    const page_record& record = record_of(in, page);
    extend_lost(in, record);
    auto* const to = reinterpret_cast<packet_header*>(page_of(in, page));
    to->magic = packet_magic;
    for (unsigned i = 0; i < sizeof in.uuid; ++i)
        to->uuid[i] = in.uuid[i];
    to->stream_id = in.stream_id;
    to->timestamp_begin = record.begin;
    to->timestamp_end = record.end;
    to->content_size = uint64_t{record.content} * bits;
    to->packet_size = uint64_t{in.sub_buffer} * bits;
    to->packet_seq_num = record.sequence;
    uint64_t sum = 0;
    for (unsigned i = 0; i < loss_count; ++i) {
        to->lost[i] = in.total_lost[i];
        sum += in.total_lost[i];
    }
    to->events_discarded = sum;
    to->cpu_id = in.cpu;
    return {to, record.content, in.sub_buffer};
}

// Past what has been overwritten, or is about to be.
void catch_up(header& in) {
    const uint32_t next = in.consumed + in.sub_buffer;
    const uint32_t first = oldest(in);
    in.consumed = is_behind(next, first) ? first : next;
}

} // namespace

bool is_buffer(const void* block, size_t size) {
    if (size < sizeof(header) || reinterpret_cast<uintptr_t>(block) % alignof(header) != 0)
        return false;
    const auto& in = *static_cast<const header*>(block);
    if (base::load_64(in.magic) != block_magic || in.version != block_version)
        return false;
    const uint32_t needed = block_size(in.sub_buffer, in.slot_count);
    if (needed == 0 || needed != in.block_size || needed > size)
        return false;
    const auto order = static_cast<uint32_t>(std::countr_zero(in.sub_buffer));
    const uint32_t records =
        static_cast<uint32_t>(sizeof(header)) + in.slot_count * static_cast<uint32_t>(sizeof(slot));
    return in.slots == sizeof(header) && in.records == records &&
           in.pages == needed - (in.slot_count + 1) * in.sub_buffer &&
           in.sub_buffer_mask == in.sub_buffer - 1 &&
           in.slot_position_shift == order - slot_shift &&
           in.slot_mask == (in.slot_count - 1) << slot_shift &&
           in.lap_shift == static_cast<uint32_t>(std::countr_zero(in.sub_buffer * in.slot_count)) &&
           in.mode <= static_cast<uint8_t>(mode::overwrite);
}

uint32_t oldest(const header& in) {
    const uint32_t current = (load_acquire(in.offset) - 1) & ~in.sub_buffer_mask;
    return current + in.sub_buffer - ring_size(in);
}

base::expected<packet, no_packet> take(header& in) {
    // Each turn but the last is one packet that the writers were faster with.
    for (uint32_t tries = 2 * in.slot_count; tries != 0; --tries) {
        const uint32_t position = in.consumed;
        slot& next = slot_of(in, position);
        const uint32_t committed = load_acquire(next.committed);
        if (committed - position <= in.sub_buffer)
            return base::unexpected(no_packet::nothing_yet);
        uint32_t page = load_acquire(next.page);
        const bool is_there = committed == position + ring_size(in) &&
                              (page & in.sub_buffer_mask) == lap_of(in, position);
        if (!is_there && overwrites(in)) {
            catch_up(in);
            continue;
        }
        if (!is_there || !is_page(in, page) || !is_page(in, in.spare))
            return base::unexpected(no_packet::damaged);
        if (overwrites(in)) {
            const uint32_t mine = in.spare | (page & in.sub_buffer_mask);
            if (!__atomic_compare_exchange_n(&next.page, &page, mine, false, __ATOMIC_SEQ_CST,
                                             __ATOMIC_RELAXED))
                continue;
            in.spare = page & ~in.sub_buffer_mask;
            in.consumed = position + in.sub_buffer;
        }
        const page_record& record = record_of(in, page);
        if (record.position != position || record.is_empty != 0 || record.content > in.sub_buffer ||
            record.content < packet_header_size)
            return base::unexpected(no_packet::damaged);
        return describe(in, page);
    }
    return base::unexpected(no_packet::too_slow);
}

void release(header& in) {
    if (overwrites(in))
        record_of(in, in.spare).is_empty = 1;
    else
        __atomic_store_n(&in.consumed, in.consumed + in.sub_buffer, __ATOMIC_RELEASE);
}

bool skip(header& in) {
    const uint32_t next = in.consumed + in.sub_buffer;
    if (!is_behind(next - 1, load_acquire(in.offset)))
        return false;
    __atomic_store_n(&in.consumed, next, __ATOMIC_RELEASE);
    return true;
}

bool copy(header& in, uint32_t position, uint8_t* to, page_record& record) {
    slot& from = slot_of(in, position);
    const uint32_t page = load_acquire(from.page);
    const uint32_t committed = load_acquire(from.committed);
    if (committed != position + ring_size(in) ||
        (page & in.sub_buffer_mask) != lap_of(in, position) || !is_page(in, page))
        return false;
    const page_record& found = record_of(in, page);
    record = found;
    if (record.position != position || record.is_empty != 0 || record.content > in.sub_buffer ||
        record.content < packet_header_size)
        return false;
    const uint8_t* const bytes = page_of(in, page);
    for (uint32_t i = packet_header_size; i < record.content; ++i)
        to[i] = __atomic_load_n(&bytes[i], __ATOMIC_RELAXED);
    // Writers change the slot's page before they change its bytes, and loads are in order.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load_acquire(from.page) == page && load_acquire(from.committed) == committed;
}

} // namespace nmisafe::ring_buffer
