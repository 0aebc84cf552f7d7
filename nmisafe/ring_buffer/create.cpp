// SPDX-License-Identifier: MIT
#include "nmisafe/ring_buffer/create.hpp"

#include "nmisafe/base/word_64.hpp"
#include "nmisafe/ring_buffer/internal/places.hpp"

namespace nmisafe::ring_buffer {

namespace {

void describe(header& made, const parameters& wanted, uint32_t size) {
    made.version = block_version;
    made.block_size = size;
    made.slots = sizeof(header);
    made.records = made.slots + wanted.sub_buffer_count * static_cast<uint32_t>(sizeof(slot));
    made.pages =
        made.records + (wanted.sub_buffer_count + 1) * static_cast<uint32_t>(sizeof(page_record));
    made.slot_count = wanted.sub_buffer_count;
    made.sub_buffer = wanted.sub_buffer_size;
    made.cpu = wanted.cpu;
    made.stream_id = wanted.stream_id;
    made.mode = static_cast<uint8_t>(wanted.mode);
    made.frequency = wanted.frequency;
    made.clock_offset = wanted.clock_offset;
    for (unsigned i = 0; wanted.uuid != nullptr && i < sizeof made.uuid; ++i)
        made.uuid[i] = wanted.uuid[i];
    for (unsigned i = 0; i + 1 < sizeof made.name && wanted.name[i] != 0; ++i)
        made.name[i] = wanted.name[i];
    made.sub_buffer_mask = made.sub_buffer - 1;
    made.slot_position_shift =
        static_cast<uint32_t>(std::countr_zero(made.sub_buffer)) - slot_shift;
    made.slot_mask = (made.slot_count - 1) << slot_shift;
    made.lap_shift = static_cast<uint32_t>(std::countr_zero(made.sub_buffer * made.slot_count));
    made.room = made.sub_buffer - extended_header_size;
}

} // namespace

base::expected<header*, create_error> create(void* block, size_t size, const parameters& wanted) {
    const uint32_t needed = block_size(wanted.sub_buffer_size, wanted.sub_buffer_count);
    if (needed == 0) {
        return base::unexpected(block_size(wanted.sub_buffer_size, 2) == 0
                                    ? create_error::bad_size
                                    : create_error::bad_count);
    }
    if (size < needed)
        return base::unexpected(create_error::too_small);
    if (reinterpret_cast<uintptr_t>(block) % alignof(header) != 0)
        return base::unexpected(create_error::unaligned);

    auto* const bytes = static_cast<uint8_t*>(block);
    for (uint32_t i = 0; i < needed; ++i) {
        bytes[i] = 0;
        asm volatile("" : : "r"(bytes) : "memory"); // no call of memset() for who has none
    }
    auto& made = *static_cast<header*>(block);
    describe(made, wanted, needed);
    const uint32_t ring = made.sub_buffer * made.slot_count;
    const uint32_t first = wanted.first_position & ~made.sub_buffer_mask;
    made.offset = made.consumed = first;
    made.spare = ring;
    for (uint32_t i = 0; i < made.slot_count; ++i) {
        const uint32_t begin = first + i * made.sub_buffer;
        slot& one = internal::slot_of(made, begin);
        one.committed = one.sure = begin; // as if delivered in the lap before
        one.page =
            (begin & (ring - 1) & ~made.sub_buffer_mask) | internal::lap_of(made, begin - ring);
        one.sequence = uint64_t{i} - made.slot_count;
    }
    for (uint32_t i = 0; i <= made.slot_count; ++i)
        internal::record_of(made, i * made.sub_buffer).is_empty = 1;
    base::publish_64(made.magic, block_magic);
    return &made;
}

} // namespace nmisafe::ring_buffer
