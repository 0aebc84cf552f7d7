// SPDX-License-Identifier: MIT
/// Makes a buffer of a block of memory.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/ring_buffer/layout.hpp"

namespace nmisafe::ring_buffer {

struct parameters {
    uint32_t sub_buffer_size = 0;  ///< A power of 2, 256 at least.
    uint32_t sub_buffer_count = 0; ///< A power of 2, 2 at least.
    ring_buffer::mode mode = mode::discard;
    uint32_t cpu = 0;
    uint32_t stream_id = 0;
    uint64_t frequency = 0;
    uint64_t clock_offset = 0;
    const uint8_t* uuid = nullptr; ///< 16 bytes; null: zeros.
    const char* name = "";         ///< Cut if it is longer than 31 bytes.
    uint32_t first_position = 0;   ///< For tests: where the first packet begins; is rounded down.
};

enum class create_error : uint8_t {
    bad_size,  ///< Of a sub-buffer: no power of 2, too small or too large.
    bad_count, ///< Of sub-buffers: no power of 2 or too few; or all are 2 GiB and more.
    too_small, ///< The block: see block_size().
    unaligned, ///< The block: its address must be a multiple of 64.
};

namespace internal {

/// std::has_single_bit() would call the compiler's library: it counts the bits.
constexpr bool is_power_of_2(uint32_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

} // namespace internal

/// How many bytes the block needs; 0: no buffer is like that.
constexpr uint32_t block_size(uint32_t sub_buffer_size, uint32_t sub_buffer_count) {
    constexpr uint32_t smallest = 256;
    const bool are_powers =
        internal::is_power_of_2(sub_buffer_size) && internal::is_power_of_2(sub_buffer_count);
    if (!are_powers || sub_buffer_size < smallest || sub_buffer_count < 2)
        return 0;
    const uint64_t pages = uint64_t{sub_buffer_count} + 1;
    const uint64_t size = sizeof(header) + sub_buffer_count * sizeof(slot) +
                          pages * sizeof(page_record) + pages * sub_buffer_size;
    return size < uint64_t{1} << 31 ? static_cast<uint32_t>(size) : 0;
}

/// Nobody reads or writes the block before it returns; `magic` is stored last. All of the memory is
/// written, so that later no write faults for the first time.
///
/// @context thread @faults may
base::expected<header*, create_error> create(void* block, size_t size, const parameters& wanted);

} // namespace nmisafe::ring_buffer
