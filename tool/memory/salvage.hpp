// SPDX-License-Identifier: MIT
// Packets of a buffer that is not taken from any more: its machine is dead, or stands, or goes on without
// us. What was delivered, and of what was not the part of which all is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nmisafe/ring_buffer/layout.hpp"

namespace nmisafe::tool {

// Counters of lost events: 32 bits in buffers, 64 in packets.
class loss_counters {
  public:
    // Counted from 0 on.
    loss_counters() = default;
    // As a reader that takes packets has left them in the buffer.
    explicit loss_counters(const ring_buffer::header& in);

    void go_on(const std::uint32_t (&counters)[ring_buffer::loss_count]);
    void store(ring_buffer::packet_header& to) const;

  private:
    std::uint32_t last_[ring_buffer::loss_count]{};
    std::uint64_t total_[ring_buffer::loss_count]{};
};

// A packet with all of its header, of `content` bytes.
ring_buffer::packet_header make_header(const ring_buffer::header& in,
                                       const ring_buffer::page_record& of, std::uint32_t content,
                                       const loss_counters& lost);

struct salvage_result {
    std::uint64_t packets = 0;    // delivered ones
    std::uint64_t unfinished = 0; // of which there was a beginning
    std::uint64_t uncommitted =
        0; // bytes behind those, of events of which at least one was never completed
    std::vector<std::string> problems;
};

// The bytes are the handler's until it returns.
using packet_handler = std::function<void(std::span<std::uint8_t>)>;

// All packets from `first` on, the oldest first. Nothing is written to the block: `available` bytes of it
// are there, and is_buffer() has said so. An end that was not noted is all ones.
//
// Behind the last packet follows an empty one if events have been lost since: so that those are counted.
salvage_result salvage(ring_buffer::header& in, std::uint64_t available, std::uint32_t first,
                       loss_counters lost, const packet_handler& to);
// All that is there.
salvage_result salvage(ring_buffer::header& in, std::uint64_t available, const packet_handler& to);

} // namespace nmisafe::tool
