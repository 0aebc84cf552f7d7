// SPDX-License-Identifier: MIT
#include "nmisafe/ring_buffer/read.hpp"

#include "nmisafe/base/word_64.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/internal/places.hpp"

namespace nmisafe::ring_buffer {

namespace {

using internal::load;

// Each word of the block is loaded once where it is used: another machine may change it between a check and a
// second load, which would be of something else then.

bool overwrites(const view& of) {
    return of.mode == mode::overwrite;
}

uint32_t load_acquire(const uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

uint8_t* bytes_of(const view& of) {
    return reinterpret_cast<uint8_t*>(of.in);
}

uint32_t ring_size(const view& of) {
    return uint32_t{1} << of.lap_shift;
}

slot& slot_of(const view& of, uint32_t position) {
    const uint32_t number = position >> of.position_shift & (of.slot_count - 1);
    return reinterpret_cast<slot*>(bytes_of(of) + of.slots)[number];
}

uint32_t low_bits(const view& of, uint32_t page) {
    return page & (of.sub_buffer - 1);
}

uint32_t lap_of(const view& of, uint32_t position) {
    return low_bits(of, position >> of.lap_shift);
}

// Of a value of slot::page: the page's offset.
uint32_t offset_of(const view& of, uint32_t page) {
    return page & ~(of.sub_buffer - 1);
}

// Of these two `page` is one.
bool is_page(const view& of, uint32_t page) {
    return offset_of(of, page) <= ring_size(of);
}

page_record& record_of(const view& of, uint32_t page) {
    return reinterpret_cast<page_record*>(bytes_of(of) + of.records)[page >> of.position_shift];
}

uint8_t* page_of(const view& of, uint32_t page) {
    return bytes_of(of) + of.pages + offset_of(of, page);
}

// Positions are compared by their difference, which is never near 2^31.
bool is_behind(uint32_t position, uint32_t other) {
    return static_cast<int32_t>(position - other) < 0;
}

// Nothing of it is loaded again: clang -O0 calls memcpy() for the whole.
page_record load_record(const page_record& from) {
    page_record copied;
    copied.begin = from.begin;
    copied.end = from.end;
    copied.sequence = from.sequence;
    copied.position = load(from.position);
    copied.content = load(from.content);
    for (unsigned i = 0; i < loss_count; ++i)
        copied.lost[i] = load(from.lost[i]);
    copied.is_empty = load(from.is_empty);
    internal::compiler_barrier();
    return copied;
}

bool is_packet(const view& of, const page_record& record, uint32_t position) {
    return record.position == position && record.is_empty == 0 && record.content <= of.sub_buffer &&
           record.content >= packet_header_size;
}

// Counters of 32 bits, sampled in the order of packets, continue as 64 bits.
void extend_lost(header& in, const page_record& record) {
    for (unsigned i = 0; i < loss_count; ++i) {
        in.total_lost[i] += record.lost[i] - in.last_lost[i];
        in.last_lost[i] = record.lost[i];
    }
}

packet describe(const view& of, uint32_t page, const page_record& record) {
    constexpr unsigned bits = 8;
    header& in = *of.in;
    extend_lost(in, record);
    auto* const to = reinterpret_cast<packet_header*>(page_of(of, page));
    to->magic = packet_magic;
    for (unsigned i = 0; i < sizeof in.uuid; ++i)
        to->uuid[i] = in.uuid[i];
    to->stream_id = in.stream_id;
    to->timestamp_begin = record.begin;
    to->timestamp_end = record.end;
    to->content_size = uint64_t{record.content} * bits;
    to->packet_size = uint64_t{of.sub_buffer} * bits;
    to->packet_seq_num = record.sequence;
    uint64_t sum = 0;
    for (unsigned i = 0; i < loss_count; ++i) {
        to->lost[i] = in.total_lost[i];
        sum += in.total_lost[i];
    }
    to->events_discarded = sum;
    to->cpu_id = in.cpu;
    return {to, record.content, of.sub_buffer};
}

// Past what has been overwritten, or is about to be.
void catch_up(const view& of, uint32_t consumed) {
    const uint32_t next = consumed + of.sub_buffer;
    const uint32_t first = oldest(of);
    of.in->consumed = is_behind(next, first) ? first : next;
}

} // namespace

view view_of(header& in) {
    view made;
    made.in = &in;
    made.slot_count = load(in.slot_count);
    made.sub_buffer = load(in.sub_buffer);
    made.slots = load(in.slots);
    made.records = load(in.records);
    made.pages = load(in.pages);
    made.position_shift = load(in.slot_position_shift) + slot_shift;
    made.lap_shift = load(in.lap_shift);
    made.mode = static_cast<mode>(__atomic_load_n(&in.mode, __ATOMIC_RELAXED));
    return made;
}

bool open(void* block, size_t size, view& to) {
    if (size < sizeof(header) || reinterpret_cast<uintptr_t>(block) % alignof(header) != 0)
        return false;
    auto& in = *static_cast<header*>(block);
    if (base::load_64(in.magic) != block_magic || in.version != block_version)
        return false;
    const view found = view_of(in);
    const uint32_t needed = block_size(found.sub_buffer, found.slot_count);
    if (needed == 0 || needed != in.block_size || needed > size)
        return false;
    const auto order = static_cast<uint32_t>(std::countr_zero(found.sub_buffer));
    const uint32_t slots_end = static_cast<uint32_t>(sizeof(header)) +
                               found.slot_count * static_cast<uint32_t>(sizeof(slot));
    to = found;
    return found.slots == sizeof(header) && found.records == slots_end &&
           found.pages == needed - (found.slot_count + 1) * found.sub_buffer &&
           in.sub_buffer_mask == found.sub_buffer - 1 && found.position_shift == order &&
           in.slot_mask == (found.slot_count - 1) << slot_shift &&
           found.lap_shift ==
               static_cast<uint32_t>(std::countr_zero(found.sub_buffer * found.slot_count)) &&
           found.mode <= mode::overwrite;
}

bool is_buffer(const void* block, size_t size) {
    view ignored;
    return open(const_cast<void*>(block), size, ignored);
}

uint32_t oldest(const view& of) {
    const uint32_t current = offset_of(of, load_acquire(of.in->offset) - 1);
    return current + of.sub_buffer - ring_size(of);
}

bool was_delivered(const view& of, uint32_t position) {
    return load_acquire(slot_of(of, position).committed) - position == ring_size(of);
}

base::expected<packet, no_packet> take(const view& of) {
    header& in = *of.in;
    // Each turn but the last is one packet that the writers were faster with.
    for (uint32_t tries = 2 * of.slot_count; tries != 0; --tries) {
        const uint32_t position = load(in.consumed);
        slot& next = slot_of(of, position);
        const uint32_t committed = load_acquire(next.committed);
        if (committed - position <= of.sub_buffer)
            return base::unexpected(no_packet::nothing_yet);
        uint32_t page = load_acquire(next.page);
        const bool is_there =
            committed == position + ring_size(of) && low_bits(of, page) == lap_of(of, position);
        if (!is_there && overwrites(of)) {
            catch_up(of, position);
            continue;
        }
        const uint32_t spare = load(in.spare);
        if (!is_there || !is_page(of, page) || !is_page(of, spare))
            return base::unexpected(no_packet::damaged);
        if (overwrites(of)) {
            const uint32_t mine = spare | low_bits(of, page);
            if (!__atomic_compare_exchange_n(&next.page, &page, mine, false, __ATOMIC_SEQ_CST,
                                             __ATOMIC_RELAXED))
                continue;
            in.spare = offset_of(of, page);
            in.consumed = position + of.sub_buffer;
        }
        const page_record record = load_record(record_of(of, page));
        if (!is_packet(of, record, position))
            return base::unexpected(no_packet::damaged);
        return describe(of, page, record);
    }
    return base::unexpected(no_packet::too_slow);
}

void release(const view& of) {
    header& in = *of.in;
    const uint32_t spare = load(in.spare);
    if (!overwrites(of))
        __atomic_store_n(&in.consumed, load(in.consumed) + of.sub_buffer, __ATOMIC_RELEASE);
    else if (is_page(of, spare))
        record_of(of, spare).is_empty = 1;
}

bool skip(const view& of) {
    const uint32_t next = load(of.in->consumed) + of.sub_buffer;
    if (!is_behind(next - 1, load_acquire(of.in->offset)))
        return false;
    __atomic_store_n(&of.in->consumed, next, __ATOMIC_RELEASE);
    return true;
}

bool copy(const view& of, uint32_t position, uint8_t* to, page_record& record) {
    slot& from = slot_of(of, position);
    const uint32_t page = load_acquire(from.page);
    const uint32_t committed = load_acquire(from.committed);
    if (committed != position + ring_size(of) || low_bits(of, page) != lap_of(of, position) ||
        !is_page(of, page))
        return false;
    record = load_record(record_of(of, page));
    if (!is_packet(of, record, position))
        return false;
    const uint8_t* const bytes = page_of(of, page);
    for (uint32_t i = packet_header_size; i < record.content; ++i)
        to[i] = __atomic_load_n(&bytes[i], __ATOMIC_RELAXED);
    // Writers change the slot's page before they change its bytes, and loads are in order.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load_acquire(from.page) == page && load_acquire(from.committed) == committed;
}

} // namespace nmisafe::ring_buffer
