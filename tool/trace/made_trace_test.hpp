// SPDX-License-Identifier: MIT
// Traces for tests, byte by byte, so that they can be wrong in any way.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tool/trace/metadata.hpp"
#include "tool/trace/trace_folder.hpp"

namespace nmisafe::tool::test {

template <typename Number>
std::string bytes_of(Number value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::span<const std::uint8_t> as_bytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Events "test" (0) and "nmi" (1) with u32 a and u64 b, and one of every kind.
inline trace_description made_description() {
    trace_description made;
    made.uuid = {0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    made.stream_id = 7;
    const std::vector<field_type> plain{{"a", ctf::kind::u32},
                                        {"b", ctf::kind::u64, ctf::base::hexadecimal}};
    made.events = {{0, "test", plain},
                   {1, "nmi", plain},
                   {70000,
                    "all",
                    {{"one", ctf::kind::u8},
                     {"two", ctf::kind::i16},
                     {"name", ctf::kind::string},
                     {"chain", ctf::kind::addresses},
                     {"last", ctf::kind::i64}}},
                   {2, "empty", {}}};
    made.width = 32;
    made.system = "a \"test\"";
    made.kernel = "/boot/kernel";
    made.images = {{"kernel", "", 0xc0100000, 0x1000, 0xc0100000, 0, 0}};
    return made;
}

// 64-bit headers, as in any that may be out of order.
inline std::string extended(std::uint64_t time, std::uint32_t id, const std::string& payload,
                            std::uint8_t context = 0, std::uint8_t depth = 0) {
    return bytes_of(std::uint8_t{31}) + bytes_of(id) + bytes_of(time) + bytes_of(context) +
           bytes_of(depth) + payload;
}
inline std::string compact(std::uint64_t time, std::uint32_t id, const std::string& payload,
                           std::uint8_t context = 0, std::uint8_t depth = 0) {
    return bytes_of(static_cast<std::uint32_t>(time << 5 | id)) + bytes_of(context) +
           bytes_of(depth) + payload;
}
inline std::string plain(std::uint32_t a, std::uint64_t b = 0x1234) {
    return bytes_of(a) + bytes_of(b);
}
inline std::string test_event(std::uint64_t time, std::uint32_t id = 0) {
    return extended(time, id, plain(static_cast<std::uint32_t>(time)));
}
inline std::string test_events(const std::vector<std::uint64_t>& times) {
    std::string all;
    for (const std::uint64_t time : times) {
        all += test_event(time);
    }
    return all;
}

inline ring_buffer::packet_header made_header(std::uint64_t begin, std::uint64_t end,
                                              std::uint64_t sequence, std::uint64_t discarded,
                                              std::uint32_t cpu = 0) {
    ring_buffer::packet_header made{};
    made.magic = ring_buffer::packet_magic;
    const trace_description about = made_description();
    std::memcpy(made.uuid, about.uuid.data(), about.uuid.size());
    made.stream_id = about.stream_id;
    made.timestamp_begin = begin;
    made.timestamp_end = end;
    made.packet_seq_num = sequence;
    made.events_discarded = made.lost[0] = discarded;
    made.cpu_id = cpu;
    return made;
}

// Its sizes are filled in.
inline std::string packet(ring_buffer::packet_header header, const std::string& events,
                          std::size_t size = 4096) {
    header.content_size = 8 * (sizeof header + events.size());
    header.packet_size = 8 * std::max(size, sizeof header + events.size());
    std::string all = bytes_of(header) + events;
    all.resize(header.packet_size / 8, '\0');
    return all;
}

inline std::map<std::string, std::string>
made_files(const std::map<std::string, std::string>& streams) {
    std::map<std::string, std::string> files = streams;
    files[".metadata.ctf2"] = write_ctf2(made_description());
    files[".nmisafe.json"] = write_sidecar(made_description());
    return files;
}

// All that is read, in short: "1000.0 1500.1 lost(3) ...", and the problems.
struct found_trace {
    std::string text;
    std::vector<std::string> problems;
    std::uint64_t events = 0;
    std::uint64_t lost = 0;
};
inline found_trace read_all(const trace_folder& folder) {
    found_trace found;
    trace_problems problems;
    trace_reader reader(folder, problems);
    std::uint64_t last = 0;
    for (trace_item item = reader.next(); item != trace_item::end; item = reader.next()) {
        found.text += found.text.empty() ? "" : " ";
        if (item == trace_item::loss) {
            const trace_loss& loss = reader.loss();
            found.lost += loss.all_events();
            found.text += loss.is_before      ? "joined"
                          : loss.packets != 0 ? "missing(" + std::to_string(loss.packets) + ")"
                                              : "lost(" + std::to_string(loss.all_events()) + ")";
            continue;
        }
        ++found.events;
        found.text += reader.event().time < last ? "BACK:" : "";
        last = reader.event().time;
        found.text += std::to_string(last) + "." + std::to_string(reader.event().cpu);
    }
    found.problems = problems.kept();
    return found;
}
inline found_trace read_streams(const std::map<std::string, std::string>& streams) {
    return read_all(trace_folder(made_files(streams)));
}

} // namespace nmisafe::tool::test
