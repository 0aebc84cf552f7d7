// SPDX-License-Identifier: MIT
/// Where in the block things lie.
/// @context any @faults never @locks none, all of it
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/ring_buffer/layout.hpp"

namespace nmisafe::ring_buffer::internal {

[[NMISAFE_TRAP_INLINE]] inline uint8_t* bytes_of(header& in) {
    return reinterpret_cast<uint8_t*>(&in);
}

[[NMISAFE_TRAP_INLINE]] inline slot& slot_of(header& in, uint32_t position) {
    const uint32_t offset = position >> in.slot_position_shift & in.slot_mask;
    return *reinterpret_cast<slot*>(bytes_of(in) + sizeof(header) + offset);
}

/// What slot::page holds of the lap. Two laps that follow each other differ.
[[NMISAFE_TRAP_INLINE]] inline uint32_t lap_of(const header& in, uint32_t position) {
    return position >> in.lap_shift & in.sub_buffer_mask;
}

/// Of a value of slot::page.
[[NMISAFE_TRAP_INLINE]] inline uint8_t* page_of(header& in, uint32_t page) {
    return bytes_of(in) + in.pages + (page & ~in.sub_buffer_mask);
}

[[NMISAFE_TRAP_INLINE]] inline page_record& record_of(header& in, uint32_t page) {
    const uint32_t index = page >> (in.slot_position_shift + slot_shift);
    return *reinterpret_cast<page_record*>(bytes_of(in) + in.records + index * sizeof(page_record));
}

/// Of all sub-buffers.
[[NMISAFE_TRAP_INLINE]] inline uint32_t ring_size(const header& in) {
    return uint32_t{1} << in.lap_shift;
}

// The compiler keeps accesses before it before those behind it; so does an x86 CPU, for whoever
// interrupts it.
[[NMISAFE_TRAP_INLINE]] inline void compiler_barrier() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

[[NMISAFE_TRAP_INLINE]] inline uint32_t load(const uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_RELAXED);
}

[[NMISAFE_TRAP_INLINE]] inline void store(uint32_t& word, uint32_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELAXED);
}

} // namespace nmisafe::ring_buffer::internal
