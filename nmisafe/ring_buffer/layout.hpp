// SPDX-License-Identifier: MIT
/// A buffer in memory: one block, the same for both widths, that says itself where everything lies,
/// so that whoever has the block has the buffer: a thread, a host that maps a guest's memory, a
/// tool with the memory of a dead machine.
///
///     block: | header | slots, one a sub-buffer | records, one a page | page | page | ... |
///
/// A position is a number of bytes since the beginning, modulo 2^32; it never goes down. A *slot*
/// is a sub-buffer's place in the order of positions, a *page* the memory that its bytes are in.
/// There is one page more than slots: the reader's.
///
/// Every word has one writer, the CPU the buffer belongs to or the reader, but `slot::page`, which
/// is changed by LOCK CMPXCHG only.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::ring_buffer {

inline constexpr uint64_t block_magic = 0x3152'4546'4153'4d4e; // "NMSAFER1" in memory
inline constexpr uint32_t block_version = 1;

/// What an event is lost for: each lost event is counted for one of them.
enum class loss : uint8_t {
    full,    ///< The reader has not read what would be overwritten. Never with mode::overwrite.
    wrap,    ///< The events of this CPU's interrupted contexts fill the buffer all round.
    too_big, ///< It fits into no packet.
    nesting, ///< More contexts than `maximum_nesting` are at it.
};
inline constexpr unsigned loss_count = 4;

enum class mode : uint8_t {
    discard,   ///< A full buffer loses what comes: what was read last comes next.
    overwrite, ///< It loses its oldest packets: a flight recorder.
};

/// How many contexts of a CPU may be in one buffer, each interrupted by the next: a thread,
/// softirq, interrupt, trap in it, NMI, trap in that, #MC, #DB, and traps in those.
inline constexpr uint32_t maximum_nesting = 16;

/// A packet's first bytes, all fields packed and little endian. Filled in by the reader.
struct [[gnu::packed]] packet_header {
    uint32_t magic; ///< packet_magic
    uint8_t uuid[16];
    uint32_t stream_id;
    uint64_t timestamp_begin;
    uint64_t timestamp_end;
    uint64_t content_size; ///< In bits, this header included.
    uint64_t packet_size;  ///< In bits.
    uint64_t packet_seq_num;
    uint64_t events_discarded; ///< The sum of the four that follow, since the beginning.
    uint64_t lost[loss_count]; ///< In the order of `loss`.
    uint32_t cpu_id;
};
static_assert(sizeof(packet_header) == 108);
inline constexpr uint32_t packet_magic = 0xc1fc'1fc1; // [ctf 1.8, 5.2]
inline constexpr uint32_t packet_header_size = sizeof(packet_header);

/// One for each page: the packet that is in it, or was last.
struct page_record {
    uint64_t begin;            ///< The time of the reservation that opened the packet, ...
    uint64_t end;              ///< ... and of the one that closed it.
    uint64_t sequence;         ///< The packet's number.
    uint32_t position;         ///< Where it begins. If it is another one's, the page has no packet.
    uint32_t content;          ///< Its bytes, header included.
    uint32_t lost[loss_count]; ///< The counters, modulo 2^32, as its last reservation found them.
    uint32_t is_empty;         ///< The reader has had it.
    uint32_t unused[3];
};
static_assert(sizeof(page_record) == 64);

/// One for each sub-buffer. With `b` the position where it begins in this lap:
struct slot {
    /// `b` and the bytes committed. `b + sub-buffer`: complete. `b + ring`: delivered, and so ready
    /// for the next lap.
    uint32_t committed;
    /// All before it in this lap is committed: what of a dead machine's unfinished packet is sure.
    /// The last commit that left no other one open has stored it.
    uint32_t sure;
    /// The page's offset from the first, and in the low bits, which are 0 there, the lap. When the
    /// next lap is prepared it changes, before any byte of the page does.
    uint32_t page;
    uint32_t unused;
    uint64_t sequence; ///< Of the packet in it: one slot count more each lap.
    uint64_t unused_too;
};
static_assert(sizeof(slot) == 32);
inline constexpr unsigned slot_shift = 5;

struct header {
    // Never changes once `magic` is there.
    uint64_t magic;
    uint32_t version;
    uint32_t block_size;
    uint32_t slots; ///< Offsets from the block's beginning.
    uint32_t records;
    uint32_t pages;
    uint32_t slot_count; ///< A power of 2, like the next.
    uint32_t sub_buffer; ///< Bytes.
    uint32_t cpu;
    uint32_t stream_id;
    uint8_t mode; ///< As ring_buffer::mode.
    uint8_t unused[3];
    uint64_t frequency;    ///< Of the clock, in Hz; 0: not known.
    uint64_t clock_offset; ///< The clock's units from 1970 to its 0.
    uint8_t uuid[16];
    char name[32]; ///< The channel's; ends with 0.

    // The writers': the CPU's own, and by no other.
    alignas(64) uint32_t offset; ///< The position of the next byte to be reserved.
    uint32_t last_time; ///< The last event's time without the low bits that each event has.
    uint32_t nesting;   ///< How many contexts are at it.
    uint32_t lost[loss_count];
    uint32_t is_ready;        ///< 1: a packet was delivered since somebody has set it to 0.
    uint32_t sub_buffer_mask; ///< Copies of what does not change, in the line of what does.
    uint32_t slot_mask;       ///< Of a position >> slot_position_shift: the slot's offset in bytes.
    uint32_t slot_position_shift;
    uint32_t lap_shift; ///< A position >> this is the lap it is in.
    uint32_t room;      ///< Up to which position in a sub-buffer the longest event header fits.

    // The reader's.
    alignas(64) uint32_t consumed; ///< The position of the packet to be read next.
    uint32_t spare;                ///< The offset of the page that is in no slot.
    uint32_t last_lost[loss_count];
    uint64_t total_lost[loss_count];
};
static_assert(sizeof(header) == 256);
static_assert(offsetof(header, offset) == 128 && offsetof(header, consumed) == 192);

// The same on both widths, though x86-32 aligns 64-bit words to 4 bytes in structs.
static_assert(offsetof(header, frequency) == 48 && offsetof(header, name) == 80);
static_assert(offsetof(slot, sequence) == 16 && offsetof(page_record, lost) == 32);
static_assert(offsetof(header, total_lost) == 216);

/// An event's first bytes. [ctf 1.8]
///   compact:  the id in the low 5 bits, the time's low 27 bits above them
///   extended: 31 in a byte, the id in 32 bits, the time in 64
inline constexpr uint32_t compact_header_size = 4;
inline constexpr uint32_t extended_header_size = 13;
inline constexpr unsigned compact_time_bits = 27;
inline constexpr uint32_t extended_id = 31; ///< And the first that is in no compact header.

} // namespace nmisafe::ring_buffer
