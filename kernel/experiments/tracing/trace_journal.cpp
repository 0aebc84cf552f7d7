// SPDX-License-Identifier: MIT
#include "kernel/experiments/tracing/trace_journal.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/events/clock.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/x86/local.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constexpr uint32_t sub_buffer = 256;
constexpr uint32_t sub_buffers = 4;
static_assert(ring_buffer::block_size(sub_buffer, sub_buffers) <= journal_memory);
constexpr uint32_t most_events = 256;
constexpr uint32_t event_id = 3;
constexpr uint32_t most_packets = 64;

struct note {
    bool is_over;
    bool is_written;
    uint32_t packet; // its number
    uint64_t before;
    uint64_t after;
    uint32_t seen;
};

struct [[gnu::packed]] content {
    uint32_t serial;
    uint32_t inverse;
};

alignas(64) uint8_t own_memory[journal_memory];
ring_buffer::header* buffer;
note notes[most_events];
uint32_t count;
bool packets_read[most_packets];

/// The control's clock: one line, in place.
clock::conversion only_line;
uint64_t last_reference;

/// What reserve() reads: the time, or for the control one from before.
struct reserving_clock {
    uint64_t sampled;
    uint64_t read() const { return is_removed(defence::fresh_time) ? sampled : journal_time(); }
};

/// A control: whoever comes between the load and the store gets the same bytes.
ring_buffer::reservation reserve_without_exchange(ring_buffer::header& in, uint32_t size) {
    using namespace ring_buffer;
    using namespace ring_buffer::internal;
    const uint32_t offset = load(in.offset);
    const uint32_t inside = offset & in.sub_buffer_mask;
    if (inside == 0 || inside + size >= in.room)
        return reserve(in, event_id, size, reserving_clock{journal_time()});
    x86::increment(in.nesting);
    const uint64_t time = journal_time();
    const uint32_t length = extended_header_size + size;
    store(in.offset, offset + length);
    slot& mine = slot_of(in, offset);
    uint8_t* const to = page_of(in, load(mine.page)) + inside;
    return {write_header(to, event_id, time, false), &mine, length, offset + length};
}

template <typename T>
T value_at(const uint8_t* from) {
    struct [[gnu::packed, gnu::may_alias]] packed {
        T value;
    };
    return reinterpret_cast<const packed*>(from)->value;
}

void check_event(const uint8_t* payload, uint64_t time) {
    const auto found = value_at<content>(payload);
    if (found.serial >= count || found.inverse != ~found.serial)
        return fail("what an event has in it", ~found.serial, found.inverse);
    note& its = notes[found.serial];
    if (!its.is_written || its.seen++ != 0)
        fail("an event is read once", found.serial, its.seen);
    if (time < its.before || time > its.after)
        fail("an event's time is that of its reservation", static_cast<uintptr_t>(its.before),
             static_cast<uintptr_t>(time));
}

/// The size of an event is in no header: here it is known from the serial.
uint32_t size_of(const uint8_t* payload);
uint32_t sizes[most_events];

void check_packet(const ring_buffer::packet& found, uint64_t& last_time) {
    using namespace ring_buffer;
    constexpr uint64_t low = (uint64_t{1} << compact_time_bits) - 1;
    const auto* const bytes = reinterpret_cast<const uint8_t*>(found.header);
    const auto number = static_cast<uint32_t>(found.header->packet_seq_num);
    if (number < most_packets)
        packets_read[number] = true;
    uint64_t time = found.header->timestamp_begin;
    uint32_t at = packet_header_size;
    while (at < found.content) {
        const auto word = value_at<uint32_t>(bytes + at);
        if ((word & 31) == extended_id) {
            time = value_at<uint64_t>(bytes + at + 5);
            at += extended_header_size;
        } else {
            const uint64_t bits = word >> 5;
            time = (time & ~low) + bits + (bits < (time & low) ? low + 1 : 0);
            at += compact_header_size;
        }
        if (time < last_time)
            return fail("a time goes back", static_cast<uintptr_t>(last_time),
                        static_cast<uintptr_t>(time));
        last_time = time;
        check_event(bytes + at, time);
        at += size_of(bytes + at);
    }
    if (at != found.content)
        fail("a packet ends behind an event", found.content, at);
    if (time > found.header->timestamp_end)
        fail("a packet ends after its events", static_cast<uintptr_t>(found.header->timestamp_end),
             static_cast<uintptr_t>(time));
}

uint32_t size_of(const uint8_t* payload) {
    const auto serial = value_at<uint32_t>(payload);
    return serial < count ? sizes[serial] : sub_buffer;
}

uint32_t lost_events() {
    uint32_t sum = 0;
    for (const uint32_t& lost : buffer->lost)
        sum += lost;
    return sum;
}

uint32_t room_in_packet() {
    const uint32_t inside = buffer->offset & (sub_buffer - 1);
    return inside == 0 ? sub_buffer : sub_buffer - inside;
}

} // namespace

void begin_journal(ring_buffer::mode mode, void* memory) {
    const auto made = ring_buffer::create(
        memory == nullptr ? own_memory : memory, journal_memory,
        {.sub_buffer_size = sub_buffer, .sub_buffer_count = sub_buffers, .mode = mode});
    if (!made)
        return fail("a buffer", 0, static_cast<uintptr_t>(made.error()));
    buffer = *made;
    for (note& one : notes)
        one = {};
    for (bool& read : packets_read)
        read = false;
    count = 0;
}

open_event open(uint32_t size) {
    const uint32_t serial = x86::add_fetch(count, 1) - 1;
    if (serial >= most_events)
        fail("events in the journal", most_events, serial);
    sizes[serial] = size;
    notes[serial].before = journal_time();
    const reserving_clock clock{journal_time()};
    return {is_removed(defence::exchange) ? reserve_without_exchange(*buffer, size)
                                          : ring_buffer::reserve(*buffer, event_id, size, clock),
            serial, size};
}

void close(const open_event& written) {
    note& its = notes[written.serial];
    its.after = journal_time();
    its.is_over = true;
    if (!written.place)
        return;
    auto* const to = reinterpret_cast<content*>(written.place.payload);
    to->serial = written.serial;
    to->inverse = ~written.serial;
    its.is_written = true;
    its.packet = (written.place.end - 1) / sub_buffer;
    ring_buffer::commit(*buffer, written.place);
}

void write_event(uint32_t size) {
    close(open(size));
}

uint32_t events_wanted() {
    return count;
}

void fill_packet() {
    write_event(small_event);
    while (room_in_packet() >= ring_buffer::extended_header_size + small_event)
        write_event(small_event);
}

void fill_buffer() {
    while (lost_events() == 0)
        write_event(small_event);
}

void fill_ring() {
    while (buffer->offset < sub_buffer * sub_buffers)
        write_event(small_event);
    fill_packet();
}

void check_journal() {
    ring_buffer::close_packet(*buffer, reserving_clock{journal_time()});
    uint64_t last_time = 0;
    while (const auto found = ring_buffer::take(*buffer)) {
        check_packet(*found, last_time);
        ring_buffer::release(*buffer);
    }
    const bool overwrites = buffer->mode == static_cast<uint8_t>(ring_buffer::mode::overwrite);
    uint32_t lost = 0;
    for (uint32_t i = 0; i < count && i < most_events; ++i) {
        const note& one = notes[i];
        lost += !one.is_written;
        const bool overwritten =
            overwrites && one.packet < most_packets && !packets_read[one.packet];
        if (!one.is_over || (one.is_written && one.seen == 0 && !overwritten))
            fail("an event is missing", i, one.packet);
    }
    if (lost != lost_events())
        fail("lost events are counted once", lost, lost_events());
    if (buffer->nesting != 0)
        fail("contexts in the buffer", 0, buffer->nesting);
}

uint64_t journal_time() {
    if (is_removed(defence::two_lines))
        return only_line.at(x86::read_tsc());
    return clock::trace_clock(this_cpu().tracer->clock).read();
}

bool update_journal_clock(bool ahead) {
    constexpr uint32_t so_much = 40;
    const uint64_t reference = reference_ticks() + (ahead ? so_much : 0);
    last_reference = reference;
    if (!is_removed(defence::two_lines))
        return this_cpu().tracer->clock.update(reference);
    volatile clock::conversion& line = only_line;
    line.counter = x86::read_tsc();
    line.time = reference;
    return true;
}

void start_journal_clock() {
    if (reference_ticks() > last_reference && last_reference != 0)
        return;
    start_trace_clock();
    const uint64_t tsc = x86::read_tsc();
    last_reference = reference_ticks();
    only_line = {tsc, last_reference,
                 clock::rate_of(last_reference, tsc)}; // both have counted since the reset
}

} // namespace kernel
