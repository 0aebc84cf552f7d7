// SPDX-License-Identifier: MIT
// A machine of one CPU that is traced, and a reader that knows nothing but its memory: the
// descriptor's table says what the events are.
#pragma once

#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/ctf/table.hpp"
#include "nmisafe/platform/hosted/one_cpu.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/trace_descriptor/descriptor.hpp"
#include "nmisafe/tracer/control.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace nmisafe::tracer::test {

struct machine {
    static constexpr uint32_t sub_buffer = 4096;
    static constexpr uint32_t sub_buffers = 8;
    static constexpr uint32_t block = ring_buffer::block_size(sub_buffer, sub_buffers);
    static constexpr trace_descriptor::descriptor_parameters parameters{
        .physical = 4096, .frequency = 1'000'000'000, .type_capacity = 8192, .system = "test"};

    alignas(4096) static inline uint8_t descriptor_memory[16 << 10];
    alignas(64) static inline uint8_t buffer_memory[channel_count][block];
    static inline trace_descriptor::descriptor* descriptor = nullptr;
    static inline constinit cpu only{};

    static ring_buffer::header& buffer(channel which) {
        return *only.buffers[static_cast<unsigned>(which)];
    }

    static void begin(ring_buffer::mode mode = ring_buffer::mode::discard) {
        platform::hosted::stay_on_this_cpu(); // it is this machine's only one
        clock::tsc_is_good = true;
        if (descriptor == nullptr)
            descriptor = *trace_descriptor::create_descriptor(descriptor_memory,
                                                              sizeof descriptor_memory, parameters);
        for (unsigned i = 0; i < channel_count; ++i)
            only.buffers[i] = *ring_buffer::create(buffer_memory[i], block,
                                                   {.sub_buffer_size = sub_buffer,
                                                    .sub_buffer_count = sub_buffers,
                                                    .mode = mode,
                                                    .name = channel_names[i]});
    }
};

struct value {
    std::string name;
    ctf::kind kind;
    uint64_t number = 0; ///< As many bits as the field has.
    std::string text;
    std::vector<uint64_t> addresses;
};

struct decoded {
    std::string name;
    uint32_t id;
    uint64_t time;
    ctf::event_context context;
    std::vector<value> values;
    bool is_first; ///< Of its packet.

    const value& operator[](const char* field) const {
        for (const value& one : values)
            if (one.name == field)
                return one;
        std::abort();
    }
};

/// Reads a packet's bytes; whatever is not there ends the program.
class reader {
  public:
    reader(const uint8_t* at, const uint8_t* end) : at_(at), end_(end) {}

    bool is_at_end() const { return at_ == end_; }
    uint64_t number(uint32_t bytes) {
        if (static_cast<size_t>(end_ - at_) < bytes)
            std::abort();
        uint64_t result = 0;
        std::memcpy(&result, at_, bytes);
        at_ += bytes;
        return result;
    }
    std::string text() {
        std::string result;
        while (const auto one = static_cast<char>(number(1)))
            result += one;
        return result;
    }
    value field(const ctf::field& about) {
        value result;
        result.name = about.name;
        result.kind = about.type;
        if (about.type == ctf::kind::string)
            result.text = text();
        else if (about.type == ctf::kind::addresses)
            for (uint64_t count = number(1); count != 0; --count)
                result.addresses.push_back(number(8));
        else
            result.number = number(ctf::size_of(about.type));
        return result;
    }

  private:
    const uint8_t* at_;
    const uint8_t* end_;
};

inline bool find_type(uint32_t id, ctf::found_event& to) {
    const auto& from = *machine::descriptor;
    const uint8_t* at = trace_descriptor::types_of(from);
    const uint8_t* const end = at + from.type_length;
    while (ctf::next_event(at, end, to))
        if (to.id == id)
            return true;
    return false;
}

inline void decode(const ring_buffer::packet& from, std::vector<decoded>& to) {
    const auto* const begin = reinterpret_cast<const uint8_t*>(from.header);
    reader in(begin + ring_buffer::packet_header_size, begin + from.content);
    uint64_t time = from.header->timestamp_begin;
    bool is_first = true;
    while (!in.is_at_end()) {
        auto id = static_cast<uint32_t>(in.number(4));
        constexpr uint64_t low = (uint64_t{1} << ring_buffer::compact_time_bits) - 1;
        if ((id & 31) == ring_buffer::extended_id) {
            id = id >> 8 | static_cast<uint32_t>(in.number(1)) << 24;
            time = in.number(8);
        } else {
            const uint64_t next = (time & ~low) | id >> 5;
            time = next < time ? next + low + 1 : next;
            id &= 31;
        }
        static ctf::found_event type;
        if (!find_type(id, type))
            std::abort();
        decoded one{.name = type.name,
                    .id = id,
                    .time = time,
                    .context = {},
                    .values = {},
                    .is_first = is_first};
        one.context.innermost = static_cast<ctf::context>(in.number(1));
        one.context.depth = static_cast<uint8_t>(in.number(1));
        for (uint32_t i = 0; i < type.field_count; ++i)
            one.values.push_back(in.field(type.fields[i]));
        to.push_back(one);
        is_first = false;
    }
}

/// What read_all() has found last.
inline std::vector<decoded> last_read;

/// As a test's output shows it.
inline void say_last_read() {
    for (const decoded& one : last_read) {
        std::printf("  %" PRIu64 " %s id %u context %u depth %u%s:", one.time, one.name.c_str(),
                    one.id, static_cast<unsigned>(one.context.innermost), one.context.depth,
                    one.is_first ? " first" : "");
        for (const value& field : one.values)
            std::printf(" %s=%" PRIx64 "'%.40s'", field.name.c_str(), field.number,
                        field.text.c_str());
        std::printf("\n");
        if (&one - last_read.data() == 30)
            break;
    }
}

/// All events up to now. Those that packets begin with only if they are asked for.
inline std::vector<decoded> read_all(channel from, bool with_state = false) {
    ring_buffer::header& in = machine::buffer(from);
    ring_buffer::close_packet(in, clock::trace_clock(machine::only.clock));
    std::vector<decoded> found;
    while (const auto packet = ring_buffer::take(in)) {
        decode(*packet, found);
        ring_buffer::release(in);
    }
    if (!with_state)
        std::erase_if(found, [](const decoded& one) { return one.name == "packet_state"; });
    last_read = found;
    return found;
}

} // namespace nmisafe::tracer::test
