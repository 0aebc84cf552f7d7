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

/// A buffer as a reader sees it: where its parts lie, read once. Another machine may change the block's header at
/// any time, and wrongly: what is found by a view lies inside the block all the same.
struct view {
    header* in;
    uint32_t slot_count;
    uint32_t sub_buffer;
    uint32_t slots; ///< Offsets, as in the header.
    uint32_t records;
    uint32_t pages;
    uint32_t position_shift; ///< A position >> this is a number of sub-buffers.
    uint32_t lap_shift;
    ring_buffer::mode mode;
};

/// Of a block that this machine has made. @context any
view view_of(header& in);

/// Of another machine's. @return whether it is a buffer, all of whose places lie inside these bytes @context any
bool open(void* block, size_t size, view& to);

/// The same of bytes that nobody looks at then. @context any
bool is_buffer(const void* block, size_t size);

/// The next packet in order. In mode::overwrite it may come after a gap: packet_seq_num tells.
///
/// A packet that never becomes complete, because one of its writers never returned, is waited for
/// in vain; skip() leaves it.
///
/// @context thread @locks none: one caller at a time @order acquires what the writers committed
base::expected<packet, no_packet> take(const view& of);
inline base::expected<packet, no_packet> take(header& in) {
    return take(view_of(in));
}

/// The packet that was taken last is no longer needed. Before the next take().
/// @context thread @order release
void release(const view& of);
inline void release(header& in) {
    release(view_of(in));
}

/// Goes on with the packet behind the next one. Not between take() and release().
/// @return false: there is none yet
/// @context thread
bool skip(const view& of);
inline bool skip(header& in) {
    return skip(view_of(in));
}

/// Copies the packet that begins at `position`, if it is delivered and stays so meanwhile: needs no
/// atomic access but loads, and changes nothing. In `to`, of a sub-buffer's size, the packet's
/// header is left out (its bytes are those of whoever had the page); `record` has what would be in
/// it.
/// @context thread, or a host
bool copy(const view& of, uint32_t position, uint8_t* to, page_record& record);
inline bool copy(header& in, uint32_t position, uint8_t* to, page_record& record) {
    return copy(view_of(in), position, to, record);
}

/// Where the oldest packet begins that may be there, to be copied: each is a sub-buffer further, up
/// to the header's `offset`.
/// @context any
uint32_t oldest(const view& of);
inline uint32_t oldest(const header& in) {
    return oldest(view_of(const_cast<header&>(in)));
}

/// Whether the packet that begins there was delivered and is no later one, or can never be, because
/// none has begun there before the buffer was made. @context any
bool was_delivered(const view& of, uint32_t position);

} // namespace nmisafe::ring_buffer
