// SPDX-License-Identifier: MIT
// The bytes of a packet: whether they are one, and which events are in it. Nothing that is in them is
// believed. What other readers refuse is found here before it costs them the whole trace.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tool/trace/event.hpp"

namespace nmisafe::tool {

// Headers have their sizes in bits.
inline constexpr std::uint64_t bits_of_byte = 8;

// Events by their numbers.
class event_index {
  public:
    event_index() = default;
    // `of` must stay as it is, or the index be made again.
    explicit event_index(const std::vector<event_type>& of);

    struct entry {
        const event_type* type = nullptr;
        std::uint32_t fixed = 0;  // bytes in front of the first field that varies
        std::uint32_t varied = 0; // number of that field; their count if there is none
    };
    const entry* find(std::uint32_t id) const {
        if (id < direct_.size()) {
            return direct_[id].type != nullptr ? &direct_[id] : nullptr;
        }
        const auto found = far_.find(id);
        return found != far_.end() ? &found->second : nullptr;
    }

  private:
    std::vector<entry> direct_;
    std::unordered_map<std::uint32_t, entry> far_;
};

// What the packet before has left of a stream.
struct stream_state {
    bool has_packet = false;
    std::uint32_t cpu = 0;
    std::uint64_t end = 0;       // the last packet's
    std::uint64_t last_time = 0; // the last event's, or packet's begin
    std::uint64_t sequence = 0;
    std::uint64_t discarded = 0;
    std::uint64_t lost[ring_buffer::loss_count]{};
};

// Why the first bytes are no header of a packet of this trace, all by itself, or empty. `size`: all that is
// there of the file from here on.
std::string check_header(std::span<const std::uint8_t> bytes, const trace_description& about);

// Its fields lie at any address: nothing may refer to one, as std::max() would; copy it first.
inline ring_buffer::packet_header load_header(const std::uint8_t* from) {
    return load<ring_buffer::packet_header>(from);
}

// A time that a machine that died never wrote, or wrote wrong: not to be believed.
inline bool is_no_end(const ring_buffer::packet_header& of) {
    return of.timestamp_end == ~std::uint64_t{0} || of.timestamp_end < of.timestamp_begin;
}

// Walks the events of a packet whose header is good.
class packet_walk {
  public:
    packet_walk() = default;
    // `bytes`: the content, header included. `last_time`: no event is earlier.
    packet_walk(std::span<const std::uint8_t> bytes, std::uint64_t last_time,
                const event_index& events, bool has_context);

    // false: there is no more, or what follows is none: problem() says which.
    bool next(trace_event& to);

    const char* problem() const { return problem_; } // null: none
    std::size_t good() const { return good_; }       // bytes up to the end of the last event
    std::uint64_t last_time() const { return last_time_; }
    std::uint64_t count() const { return count_; }

  private:
    bool stop(const char* why);
    const std::uint8_t* end_of_payload(const std::uint8_t* at,
                                       const event_index::entry& entry) const;

    const std::uint8_t* begin_ = nullptr;
    const std::uint8_t* at_ = nullptr;
    const std::uint8_t* end_ = nullptr;
    const event_index* events_ = nullptr;
    std::uint64_t time_ = 0; // compact headers continue it
    std::uint64_t last_time_ = 0;
    std::uint64_t latest_ = 0;
    std::size_t good_ = 0;
    std::uint64_t count_ = 0;
    bool has_context_ = false;
    const char* problem_ = nullptr;
};

// How the packet continues the stream: problems are appended, one a text. `loss` is what it says was lost
// since the one before; false: nothing.
bool find_loss(const ring_buffer::packet_header& header, const stream_state& before,
               trace_loss& loss, std::vector<std::string>& problems);

// The state behind the packet.
void go_on(stream_state& state, const ring_buffer::packet_header& header, std::uint64_t last_time);

} // namespace nmisafe::tool
