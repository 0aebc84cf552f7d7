// SPDX-License-Identifier: MIT
// A buffer, a note of each event that somebody wanted to write into it, and a reader that compares
// the two. On CPU 0, where anything may interrupt anything.
//
// As controls, without=fresh-time stamps an event with a time from before its reservation,
// without=exchange reserves by a load and a store, without=two-lines keeps one line of the clock.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/ring_buffer/write.hpp"

namespace kernel {

inline constexpr uint32_t small_event = 8;
inline constexpr uint32_t large_event = 24; ///< Larger than what fill_packet() leaves.

/// Begins anew with an empty buffer, in the memory that is given or, null, in its own. @context
/// thread
void begin_journal(nmisafe::ring_buffer::mode mode, void* memory = nullptr);

/// How much memory it takes.
inline constexpr size_t journal_memory = 2048;

/// An event between its two ends: whatever happens in between happens in its middle.
struct open_event {
    nmisafe::ring_buffer::reservation place;
    uint32_t serial;
    uint32_t size;
};
open_event open(uint32_t size);        ///< @context any
void close(const open_event& written); ///< @context any
void write_event(uint32_t size);       ///< Both. @context any

/// Events that were wanted so far. @context any
uint32_t events_wanted();

/// Writes until the next large event fits no more into the packet; or until one was lost; or until
/// packets are overwritten. @context thread
void fill_packet();
void fill_buffer();
void fill_ring();

/// Reads all there is. Fails unless each event is readable once, with its content and a time from
/// while it was reserved; or is counted as lost once; or was in a packet that was overwritten; and
/// unless times never go back. @context thread
void check_journal();

/// The journal's clock, and one comparison of it with the HPET, a little ahead or not. @context any;
/// thread
uint64_t journal_time();
bool update_journal_clock(bool ahead);

/// Whenever the HPET may have been restarted. @context thread
void start_journal_clock();

} // namespace kernel
