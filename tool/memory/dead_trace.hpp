// SPDX-License-Identifier: MIT
// The trace of a machine that stands still, with all that can be had of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tool/memory/found_trace.hpp"
#include "tool/memory/salvage.hpp"
#include "tool/trace/packet.hpp"

namespace nmisafe::tool {

struct dead_buffer {
    std::string stream;
    ring_buffer::header& in;
    std::uint64_t available = 0; // bytes of the block
};

// Each buffer in turn, copied; those that are none, or lie where no memory is, are said.
void for_each_buffer(const guest_memory& memory, const trace_descriptor::descriptor& of,
                     std::vector<std::string>& problems,
                     const std::function<void(const dead_buffer&)>& handler);

// How many of its buffers are there: of several traces the one with most is the one.
std::size_t count_buffers(const guest_memory& memory, const trace_descriptor::descriptor& of);

// A packet whose end was not noted ends with its last event.
void set_end(std::span<std::uint8_t> packet, const event_index& events, bool has_context);

} // namespace nmisafe::tool
