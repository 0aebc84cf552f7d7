// SPDX-License-Identifier: MIT
#include "tool/trace/packet.hpp"

#include <algorithm>
#include <cstring>

namespace nmisafe::tool {

namespace {

using ring_buffer::packet_header;

constexpr std::uint32_t most_direct = 4096;
constexpr std::uint64_t compact_mask = (std::uint64_t{1} << ring_buffer::compact_time_bits) - 1;

event_index::entry entry_of(const event_type& type) {
    event_index::entry made{&type, 0, 0};
    for (const field_type& field : type.fields) {
        const std::uint32_t size = ctf::size_of(field.type);
        if (size == 0) {
            break;
        }
        made.fixed += size;
        ++made.varied;
    }
    return made;
}

} // namespace

event_index::event_index(const std::vector<event_type>& of) {
    for (const event_type& one : of) {
        if (one.id >= most_direct) {
            far_[one.id] = entry_of(one);
            continue;
        }
        if (one.id >= direct_.size()) {
            direct_.resize(one.id + 1);
        }
        direct_[one.id] = entry_of(one);
    }
}

std::string check_header(std::span<const std::uint8_t> bytes, const trace_description& about) {
    if (bytes.size() < sizeof(packet_header)) {
        return "the packet's header is cut off";
    }
    const packet_header header = load_header(bytes.data());
    if (header.magic != ring_buffer::packet_magic) {
        return "no packet begins here";
    }
    if (!std::equal(about.uuid.begin(), about.uuid.end(), header.uuid)) {
        return "the packet is of another trace: its UUID differs";
    }
    if (header.stream_id != about.stream_id) {
        return "the packet is of an unknown stream class";
    }
    if (header.content_size > header.packet_size) {
        return "the packet's content is larger than the packet";
    }
    if (header.content_size < bits_of_byte * sizeof(packet_header) ||
        header.content_size % bits_of_byte != 0 || header.packet_size % bits_of_byte != 0) {
        return "the packet's size is none";
    }
    return {};
}

packet_walk::packet_walk(std::span<const std::uint8_t> bytes, std::uint64_t last_time,
                         const event_index& events, bool has_context)
    : begin_(bytes.data()), at_(begin_ + sizeof(packet_header)), end_(begin_ + bytes.size()),
      events_(&events), good_(sizeof(packet_header)), has_context_(has_context) {
    const packet_header header = load_header(begin_);
    time_ = header.timestamp_begin;
    last_time_ = std::max(last_time, std::uint64_t{header.timestamp_begin});
    latest_ = is_no_end(header) ? ~std::uint64_t{0} - 1 : header.timestamp_end;
}

bool packet_walk::stop(const char* why) {
    problem_ = why;
    at_ = end_;
    return false;
}

const std::uint8_t* packet_walk::end_of_payload(const std::uint8_t* at,
                                                const event_index::entry& entry) const {
    const auto left = [&] { return static_cast<std::size_t>(end_ - at); };
    if (left() < entry.fixed) {
        return nullptr;
    }
    at += entry.fixed;
    const std::vector<field_type>& fields = entry.type->fields;
    for (std::size_t i = entry.varied; i < fields.size(); ++i) {
        std::size_t size = ctf::size_of(fields[i].type);
        if (fields[i].type == ctf::kind::string) {
            const void* const zero = left() != 0 ? std::memchr(at, 0, left()) : nullptr;
            if (zero == nullptr) {
                return nullptr;
            }
            size = static_cast<std::size_t>(static_cast<const std::uint8_t*>(zero) - at) + 1;
        } else if (fields[i].type == ctf::kind::addresses) {
            size = left() != 0 ? 1 + bits_of_byte * *at : 1;
        }
        if (left() < size) {
            return nullptr;
        }
        at += size;
    }
    return at;
}

bool packet_walk::next(trace_event& to) {
    if (at_ == end_) {
        return false;
    }
    constexpr const char* cut = "the content ends inside an event";
    const auto left = static_cast<std::size_t>(end_ - at_);
    const std::uint8_t* at = at_;
    std::uint32_t id = *at & ring_buffer::extended_id;
    std::uint64_t time = 0;
    if (id != ring_buffer::extended_id) {
        if (left < ring_buffer::compact_header_size) {
            return stop(cut);
        }
        const std::uint64_t low = load<std::uint32_t>(at) >> (32 - ring_buffer::compact_time_bits);
        time = (time_ & ~compact_mask) | low;
        if (time < time_) {
            time += compact_mask + 1;
        }
        at += ring_buffer::compact_header_size;
    } else {
        if (left < ring_buffer::extended_header_size) {
            return stop(cut);
        }
        id = load<std::uint32_t>(at + 1);
        time = load<std::uint64_t>(at + 5);
        at += ring_buffer::extended_header_size;
    }
    if (time < last_time_) {
        return stop("the time goes backwards");
    }
    if (time > latest_) {
        return stop("an event is later than its packet's end");
    }
    const event_index::entry* const entry = events_->find(id);
    if (entry == nullptr) {
        return stop("an event's number is unknown");
    }
    if (has_context_) {
        if (end_ - at < 2) {
            return stop(cut);
        }
        if (at[0] >= ctf::context_count) {
            return stop("an event's context is unknown");
        }
        to.context = static_cast<ctf::context>(at[0]);
        to.depth = at[1];
        at += sizeof(ctf::event_context);
    }
    const std::uint8_t* const end = end_of_payload(at, *entry);
    if (end == nullptr) {
        return stop(cut);
    }
    to.time = time_ = last_time_ = time;
    to.type = entry->type;
    to.payload = {at, end};
    at_ = end;
    good_ = static_cast<std::size_t>(end - begin_);
    ++count_;
    return true;
}

bool find_loss(const packet_header& header, const stream_state& before, trace_loss& loss,
               std::vector<std::string>& problems) {
    loss = {};
    loss.cpu = header.cpu_id;
    loss.begin = before.has_packet ? before.end : header.timestamp_begin;
    loss.end = is_no_end(header) ? header.timestamp_begin : header.timestamp_end;
    if (!before.has_packet && header.packet_seq_num != 0) {
        // A flight recording, or one that was joined later: what was lost before is not its own.
        loss.is_before = true;
        return true;
    }
    if (before.has_packet) {
        if (header.packet_seq_num > before.sequence) {
            loss.packets = header.packet_seq_num - before.sequence - 1;
        } else {
            problems.emplace_back("the packet's sequence number does not go up");
        }
        if (header.cpu_id != before.cpu) {
            problems.emplace_back("the packet is of another CPU than those before");
        }
        if (header.timestamp_begin < before.end) {
            problems.emplace_back("the packet begins before the end of the one before");
        }
    }
    if (header.events_discarded < before.discarded) {
        problems.emplace_back("the count of lost events goes down");
        return loss.packets != 0;
    }
    std::uint64_t sum = 0;
    bool goes_down = false;
    for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
        loss.events[i] = header.lost[i] - before.lost[i];
        goes_down = goes_down || header.lost[i] < before.lost[i];
        sum += loss.events[i];
    }
    const std::uint64_t all = header.events_discarded - before.discarded;
    if (goes_down || sum != all) {
        problems.emplace_back("the counts of lost events are not what they are lost for");
        std::fill(std::begin(loss.events), std::end(loss.events), 0);
        loss.events[0] = all; // of an unknown cause, but none left out
    }
    return loss.packets != 0 || all != 0;
}

void go_on(stream_state& state, const packet_header& header, std::uint64_t last_time) {
    state.has_packet = true;
    state.cpu = header.cpu_id;
    state.end = is_no_end(header) ? last_time : header.timestamp_end;
    state.last_time = std::max(state.last_time, last_time);
    state.sequence = header.packet_seq_num;
    state.discarded = header.events_discarded;
    std::memcpy(&state.lost, &header.lost, sizeof state.lost);
}

} // namespace nmisafe::tool
