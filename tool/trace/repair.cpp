// SPDX-License-Identifier: MIT
// Of a packet: what readers take.
#include <algorithm>
#include <cstring>

#include "tool/trace/trace_writer.hpp"

namespace nmisafe::tool {

namespace {

constexpr std::uint64_t compact_range = std::uint64_t{1} << ring_buffer::compact_time_bits;

// A packet that begins before the end of the one before may begin there, if its first event is later and
// has the same time then.
bool can_begin_at(std::uint64_t begin, std::span<const std::uint8_t> content, bool has_first,
                  std::uint64_t first_time) {
    if (!has_first) {
        return content.size() == sizeof(ring_buffer::packet_header); // none that it cannot have
    }
    const bool is_extended = (content[sizeof(ring_buffer::packet_header)] &
                              ring_buffer::extended_id) == ring_buffer::extended_id;
    return first_time >= begin && (is_extended || first_time - begin < compact_range);
}

// What the header says of losses: never less than before, and the sum what its parts are.
void repair_losses(ring_buffer::packet_header& header, const stream_state& before,
                   std::vector<std::string>& problems) {
    std::uint64_t sum = 0;
    bool goes_down = false;
    for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
        const std::uint64_t one = header.lost[i];
        goes_down = goes_down || one < before.lost[i];
        sum += one;
    }
    if (goes_down || header.events_discarded < before.discarded || sum != header.events_discarded) {
        problems.emplace_back(
            "the counts of lost events are wrong: those of the packet before are taken");
        header.events_discarded = before.discarded;
        std::memcpy(&header.lost, &before.lost, sizeof before.lost);
    }
}

} // namespace

repaired_packet repair(std::span<const std::uint8_t> packet, const stream_state& before,
                       const trace_description& about, const event_index& events) {
    repaired_packet made;
    const auto leave_out = [&made](const char* why) {
        made.problems.emplace_back(std::string(why) + ": it is left out");
        return made;
    };
    if (const std::string why = check_header(packet, about); !why.empty()) {
        return leave_out(why.c_str());
    }
    made.header = load_header(packet.data());
    if (before.has_packet && made.header.cpu_id != before.cpu) {
        return leave_out("the packet is of another CPU than the stream");
    }
    if (before.has_packet && made.header.packet_seq_num <= before.sequence) {
        return leave_out("the packet's sequence number does not go up");
    }
    const std::uint64_t size = made.header.content_size / bits_of_byte;
    const std::span<const std::uint8_t> content =
        packet.first(std::min<std::uint64_t>(size, packet.size()));
    if (content.size() < size) {
        made.problems.emplace_back("the packet is cut off");
    }
    packet_walk walk(content, before.end, events, about.has_context);
    trace_event event;
    const bool has_first = walk.next(event);
    const std::uint64_t first_time = event.time;
    while (walk.next(event)) {
    }
    made.events = walk.count();
    made.content = walk.good();
    if (walk.problem() != nullptr) {
        made.problems.emplace_back(std::string(walk.problem()) + ", behind " +
                                   std::to_string(walk.count()) +
                                   " events of the packet: its rest is left out");
    }
    if (made.header.timestamp_begin < before.end) {
        if (!can_begin_at(before.end, content, has_first, first_time)) {
            return leave_out("the packet begins before the end of the one before");
        }
        made.problems.emplace_back(
            "the packet begins before the end of the one before: it begins there");
        made.header.timestamp_begin = before.end;
    }
    made.last_time =
        std::max(std::uint64_t{made.header.timestamp_begin}, has_first ? walk.last_time() : 0);
    if (is_no_end(made.header)) {
        made.problems.emplace_back("the packet's end has no time: the last event's is taken");
        made.header.timestamp_end = made.last_time;
    }
    repair_losses(made.header, before, made.problems);
    made.header.content_size = made.header.packet_size = made.content * bits_of_byte;
    made.is_good = true;
    return made;
}

} // namespace nmisafe::tool
