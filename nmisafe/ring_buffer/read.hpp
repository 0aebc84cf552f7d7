// SPDX-License-Identifier: MIT
/// Reads a buffer while it is written: one reader, on any CPU, or on a host that maps the memory.
/// No writer waits for it.
///
/// A packet that is taken is the reader's until it is released:
///
/// - mode::discard: writers do not pass the reader's position.
/// - mode::overwrite: the reader exchanges the packet's page for its own, empty one, by a
///   compare-exchange that fails once a writer has prepared the sub-buffer's next lap.
///
/// | | take, release, skip | copy | writers |
/// |---|---|---|---|
/// | take, release, skip | one at a time | yes | yes |
/// | copy | yes: it says false | yes | yes |
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/ring_buffer/layout.hpp"

namespace nmisafe::ring_buffer {

/// A packet with its header, all as CTF has it.
struct packet {
    packet_header* header; ///< The packet's first bytes.
    uint32_t content;      ///< Its bytes in use, ...
    uint32_t size;         ///< ... and all of them.
};

enum class no_packet : uint8_t {
    nothing_yet, ///< The next packet is still being written, or nothing at all.
    too_slow,    ///< mode::overwrite: each packet that was tried was overwritten meanwhile.
    damaged,     ///< The block is not what it was made: possible only if it is another machine's.
};

/// Whether it is a buffer, all of whose places lie inside these bytes. For blocks of other
/// machines.
/// @context any
bool is_buffer(const void* block, size_t size);

/// The next packet in order. In mode::overwrite it may come after a gap: packet_seq_num tells.
///
/// A packet that never becomes complete, because one of its writers never returned, is waited for
/// in vain; skip() leaves it.
///
/// @context thread @locks none: one caller at a time @order acquires what the writers committed
base::expected<packet, no_packet> take(header& in);

/// The packet that was taken last is no longer needed. Before the next take().
/// @context thread @order release
void release(header& in);

/// Goes on with the packet behind the next one. Not between take() and release().
/// @return false: there is none yet
/// @context thread
bool skip(header& in);

/// Copies the packet that begins at `position`, if it is delivered and stays so meanwhile: needs no
/// atomic access but loads, and changes nothing. In `to`, of a sub-buffer's size, the packet's
/// header is left out (its bytes are those of whoever had the page); `record` has what would be in
/// it.
/// @context thread, or a host
bool copy(header& in, uint32_t position, uint8_t* to, page_record& record);

/// Where the oldest packet begins that may be there, to be copied: each is a sub-buffer further, up
/// to `in.offset`.
/// @context any
uint32_t oldest(const header& in);

} // namespace nmisafe::ring_buffer
