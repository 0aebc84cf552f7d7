// SPDX-License-Identifier: MIT
#include "tool/record/live_trace.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "nmisafe/ring_buffer/read.hpp"

namespace nmisafe::tool {

namespace {

namespace td = trace_descriptor;
namespace rb = ring_buffer;

constexpr std::size_t most_images = 4096; // of a guest that has ever new ones

std::uint32_t load_acquire(const std::uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

} // namespace

std::uint64_t live_counts::all_lost() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t one : lost) {
        sum += one;
    }
    return sum;
}

live_trace::live_trace(const guest_memory& ram, found_trace found, bool only_at_end,
                       trace_writer& to)
    : ram_(ram), found_(std::move(found)), only_at_end_(only_at_end), to_(to) {
    look_for_buffers();
}

// find_traces() has seen that all of it lies in one piece, or it would not have been found at all.
const td::descriptor& live_trace::live() const {
    return *reinterpret_cast<const td::descriptor*>(
        ram_.find(found_.physical, found_.bytes.size()));
}

bool live_trace::is_there() const {
    constexpr std::size_t fixed = offsetof(td::descriptor, place_count);
    return std::memcmp(&live(), found_.bytes.data(), fixed) == 0;
}

td::machine_state live_trace::state() const {
    return static_cast<td::machine_state>(load_acquire(live().state));
}

void live_trace::look_for_buffers() {
    const td::descriptor& fixed = found_.descriptor();
    const std::uint32_t count = std::min(load_acquire(live().place_count), fixed.place_capacity);
    const auto* const places = reinterpret_cast<const td::buffer_place*>(
        reinterpret_cast<const std::uint8_t*>(&live()) + fixed.places);
    for (; places_seen_ < count; ++places_seen_) {
        const td::buffer_place place = places[places_seen_];
        auto* const bytes =
            const_cast<std::uint8_t*>(ram_.find(place.physical, place.size)); // it is shared
        rb::view in{};
        if (bytes == nullptr || !rb::open(bytes, place.size, in)) {
            problems_.push_back(fmt::format("the buffer of CPU {} at {:#x}: no buffer is there",
                                            place.cpu, place.physical));
            continue;
        }
        buffer one;
        one.in = in;
        one.size = place.size;
        one.stream = stream_name(*in.in, taken_);
        one.is_overwritten = in.mode == rb::mode::overwrite;
        one.next = rb::oldest(in);
        to_.add_stream(one.stream);
        buffers_.push_back(std::move(one));
    }
}

// Types are there before the first event of theirs is: so whoever has a packet looks for types, then
// writes the packet.
void live_trace::look_for_types() {
    const td::descriptor& known = found_.descriptor();
    const auto same = [&](const td::descriptor& other) {
        return load_acquire(other.type_length) == known.type_length &&
               load_acquire(other.image_count) == known.image_count &&
               std::memcmp(images_in(other), images_in(known),
                           known.image_capacity * sizeof(td::code_image)) == 0;
    };
    if (same(live())) {
        return;
    }
    // Twice: what the guest is about to write is another time.
    found_trace once;
    found_trace again;
    if (read_trace(ram_, found_.physical, once) && read_trace(ram_, found_.physical, again) &&
        std::memcmp(once.bytes.data(), again.bytes.data(),
                    std::min(once.bytes.size(), again.bytes.size())) == 0) {
        found_ = std::move(again);
        describe_anew();
        to_.write_metadata();
    }
}

// At the offset that was checked when the descriptor was found.
const void* live_trace::images_in(const td::descriptor& of) const {
    return reinterpret_cast<const std::uint8_t*>(&of) + found_.descriptor().images;
}

// A module's image has its place in the descriptor until others need it, but its addresses are in the trace for good.
void live_trace::describe_anew() {
    std::vector<code_image>& images = to_.description().images;
    const std::vector<code_image> before = std::move(images);
    describe_tables(found_.descriptor(), to_.description(), problems_);
    const auto listed = static_cast<std::ptrdiff_t>(images.size());
    std::uint64_t newest = 0;
    for (const code_image& one : images) {
        newest = std::max(newest, one.loaded);
    }
    for (const code_image& old : before) {
        const bool is_listed =
            std::any_of(images.begin(), images.begin() + listed, [&](const code_image& one) {
                return one.begin == old.begin && one.loaded == old.loaded && one.file == old.file &&
                       one.section == old.section;
            });
        if (!is_listed && images.size() < most_images) {
            images.push_back(old);
            // It has gone since it was seen, or its place would be no other's: by then at the latest.
            if (old.unloaded == 0) {
                images.back().unloaded = newest;
            }
        }
    }
}

// What the guest does after this is harmless: a view keeps what was checked. But nothing of such a buffer is worth
// having.
bool live_trace::is_good(buffer& one) {
    if (!one.is_damaged && !rb::is_buffer(one.in.in, one.size)) {
        one.is_damaged = true;
        problems_.push_back(
            fmt::format("{}: the guest has damaged the buffer's header", one.stream));
    }
    return !one.is_damaged;
}

void live_trace::append(buffer& from, std::span<const std::uint8_t> packet) {
    look_for_types();
    const append_result done = to_.append(from.stream, packet);
    for (const std::string& problem : done.problems) {
        problems_.push_back(fmt::format("{}: {}", from.stream, problem));
    }
    counts_.packets += done.is_written;
    counts_.events += done.events;
    std::copy(std::begin(done.lost), std::end(done.lost), from.lost_so_far);
}

// At most a whole lap a time: the others get their turn.
std::size_t live_trace::take_from(buffer& from) {
    std::size_t count = 0;
    while (count < 64 && is_good(from)) {
        const auto found = rb::take(from.in);
        if (!found) {
            if (found.error() == rb::no_packet::damaged) {
                from.is_damaged = true;
                problems_.push_back(
                    fmt::format("{}: the guest has damaged the buffer", from.stream));
            }
            return count;
        }
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(found->header);
        packet_.assign(bytes, bytes + found->content);
        rb::release(from.in);
        append(from, packet_);
        ++count;
    }
    return count;
}

std::size_t live_trace::copy_from(buffer& from) {
    std::size_t count = 0;
    for (unsigned tries = 0; tries < 2 * from.in.slot_count && is_good(from); ++tries) {
        const std::uint32_t first = rb::oldest(from.in);
        if (static_cast<std::int32_t>(from.next - first) < 0) {
            from.next = first; // what was there is overwritten: the sequence numbers tell
        }
        packet_.resize(from.in.sub_buffer);
        rb::page_record record;
        if (rb::copy(from.in, from.next, packet_.data(), record)) {
            from.lost.go_on(record.lost);
            const rb::packet_header head =
                make_header(*from.in.in, record, record.content, from.lost);
            std::memcpy(packet_.data(), &head, sizeof head);
            append(from, std::span(packet_).first(record.content));
            ++count;
        } else if (!rb::was_delivered(from.in, from.next)) {
            break;
        }
        from.next += from.in.sub_buffer;
    }
    return count;
}

std::size_t live_trace::poll() {
    std::size_t count = 0;
    look_for_buffers();
    for (buffer& one : buffers_) {
        if (!one.is_overwritten) {
            count += take_from(one);
        } else if (!only_at_end_) {
            count += copy_from(one);
        }
    }
    return count;
}

std::uint64_t live_trace::written() const {
    std::uint64_t sum = 0;
    for (const buffer& one : buffers_) {
        sum += load_acquire(one.in.in->offset);
    }
    return sum;
}

void live_trace::finish() {
    while (poll() != 0) {
    }
    look_for_types();
    index_ = event_index(to_.description().events);
    for (buffer& one : buffers_) {
        // A copy: should somebody write to it all the same, then not to what was checked.
        const aligned_bytes block(one.size);
        std::memcpy(block.data(), one.in.in, one.size);
        auto& in = *reinterpret_cast<rb::header*>(block.data());
        if (!is_good(one) || !rb::is_buffer(&in, one.size)) {
            continue;
        }
        const std::uint32_t first = one.is_overwritten ? one.next : in.consumed;
        const loss_counters lost = one.is_overwritten ? one.lost : loss_counters(in);
        const salvage_result rest =
            salvage(in, one.size, first, lost, [&](std::span<std::uint8_t> packet) {
                set_end(packet, index_, to_.description().has_context);
                append(one, packet);
            });
        counts_.uncommitted += rest.uncommitted;
        for (const std::string& problem : rest.problems) {
            problems_.push_back(fmt::format("{}: {}", one.stream, problem));
        }
    }
    found_trace last;
    if (read_trace(ram_, found_.physical, last)) {
        found_ = std::move(last);
        describe_anew();
    }
}

live_counts live_trace::counts() const {
    live_counts all = counts_;
    for (const buffer& one : buffers_) {
        for (unsigned i = 0; i < rb::loss_count; ++i) {
            all.lost[i] += one.lost_so_far[i];
        }
    }
    return all;
}

} // namespace nmisafe::tool
