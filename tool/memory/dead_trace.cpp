// SPDX-License-Identifier: MIT
#include "tool/memory/dead_trace.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"

namespace nmisafe::tool {

namespace {

// How large the buffer is of which these are the first bytes; 0: they are none's.
std::uint32_t size_of_block(const guest_memory& memory, std::uint64_t physical) {
    ring_buffer::header begin;
    const std::span<std::uint8_t> room(reinterpret_cast<std::uint8_t*>(&begin), sizeof begin);
    if (memory.read(physical, room) != sizeof begin || begin.magic != ring_buffer::block_magic) {
        return 0;
    }
    const std::uint32_t size = ring_buffer::block_size(begin.sub_buffer, begin.slot_count);
    return size == begin.block_size ? size : 0;
}

} // namespace

void for_each_buffer(const guest_memory& memory, const trace_descriptor::descriptor& of,
                     std::vector<std::string>& problems,
                     const std::function<void(const dead_buffer&)>& handler) {
    std::vector<std::string> taken;
    std::vector<std::uint64_t> seen;
    for (const trace_descriptor::buffer_place& place : list_places(of)) {
        const auto complain = [&](const char* why) {
            problems.push_back(
                fmt::format("the buffer of CPU {} at {:#x}: {}", place.cpu, place.physical, why));
        };
        if (std::find(seen.begin(), seen.end(), place.physical) != seen.end()) {
            complain("it is listed twice");
            continue;
        }
        seen.push_back(place.physical);
        if (memory.available(place.physical, sizeof(ring_buffer::header)) !=
            sizeof(ring_buffer::header)) {
            complain("no memory is there");
            continue;
        }
        const std::uint32_t size = size_of_block(memory, place.physical);
        if (size == 0 || size > place.size) {
            complain("no buffer is there");
            continue;
        }
        aligned_bytes block(size);
        const std::uint64_t available = memory.read(place.physical, {block.data(), size});
        if (available < size) {
            complain("its end is missing");
        }
        if (!ring_buffer::is_buffer(block.data(), size)) {
            complain("its header is damaged");
            continue;
        }
        auto& in = *reinterpret_cast<ring_buffer::header*>(block.data());
        handler({stream_name(in, taken), in, available});
    }
}

std::size_t count_buffers(const guest_memory& memory, const trace_descriptor::descriptor& of) {
    std::size_t count = 0;
    for (const trace_descriptor::buffer_place& place : list_places(of)) {
        count += size_of_block(memory, place.physical) != 0;
    }
    return count;
}

void set_end(std::span<std::uint8_t> packet, const event_index& events, bool has_context) {
    if (packet.size() < sizeof(ring_buffer::packet_header)) {
        return;
    }
    ring_buffer::packet_header header = load_header(packet.data());
    if (header.timestamp_end != ~std::uint64_t{0}) {
        return;
    }
    packet_walk walk(packet, header.timestamp_begin, events, has_context);
    trace_event event;
    while (walk.next(event)) {
    }
    header.timestamp_end = std::max<std::uint64_t>(header.timestamp_begin, walk.last_time());
    std::memcpy(packet.data(), &header, sizeof header);
}

} // namespace nmisafe::tool
