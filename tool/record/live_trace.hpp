// SPDX-License-Identifier: MIT
// Reads the trace in the memory of a guest that runs: packets by ring_buffer's reader protocol, and what
// they mean by the descriptor. The guest is not stopped, and does not help.
//
// A guest may go wild while it is read, or mean harm. Where a buffer's parts lie is read once and checked
// (ring_buffer::view), all else is checked where it is used, and packets are copied before they are judged.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nmisafe/ring_buffer/read.hpp"
#include "tool/memory/dead_trace.hpp"
#include "tool/trace/trace_writer.hpp"

namespace nmisafe::tool {

struct live_counts {
    std::uint64_t packets = 0;
    std::uint64_t events = 0;
    std::uint64_t lost[ring_buffer::loss_count]{};
    std::uint64_t uncommitted =
        0; // bytes of events that were never completed, and what lies behind them
    std::uint64_t all_lost() const;
};

class live_trace {
  public:
    // `only_at_end`: buffers in mode overwrite, flight recorders, are left alone until finish(). `ram` is
    // memory that can be written to.
    live_trace(const guest_memory& ram, found_trace found, bool only_at_end, trace_writer& to);

    // Whether the descriptor is still the one that was found.
    bool is_there() const;
    trace_descriptor::machine_state state() const;

    // Takes what is delivered, for a while. @return how many packets
    std::size_t poll();
    // Where all writers are: it changes when any writes.
    std::uint64_t written() const;

    // The guest does not run any more: the rest, and what was committed of packets that are not complete.
    void finish();

    live_counts counts() const;
    std::vector<std::string>& problems() { return problems_; }
    std::size_t buffers() const { return buffers_.size(); }

  private:
    struct buffer {
        ring_buffer::view in{};
        std::size_t size = 0;
        std::string stream;
        bool is_overwritten = false;
        bool is_damaged = false;
        std::uint32_t next = 0; // mode overwrite: the packet to be copied
        loss_counters lost;     // the same
        std::uint64_t lost_so_far[ring_buffer::loss_count]{};
    };

    const trace_descriptor::descriptor& live() const;
    void look_for_buffers();
    void look_for_types();
    void describe_anew();
    const void* images_in(const trace_descriptor::descriptor& of) const;
    std::size_t take_from(buffer& from);
    std::size_t copy_from(buffer& from);
    void append(buffer& from, std::span<const std::uint8_t> packet);
    bool is_good(buffer& one);

    const guest_memory& ram_;
    found_trace found_;
    bool only_at_end_;
    trace_writer& to_;
    event_index index_; // for finish()
    std::vector<buffer> buffers_;
    std::uint32_t places_seen_ = 0;
    std::vector<std::string> taken_;
    std::vector<std::uint8_t> packet_;
    live_counts counts_;
    std::vector<std::string> problems_;
};

} // namespace nmisafe::tool
