// SPDX-License-Identifier: MIT
#include "tool/memory/found_trace.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <set>

namespace nmisafe::tool {

namespace {

namespace td = trace_descriptor;

// What goes into metadata and JSON: no quotes, no bytes that are no ASCII.
std::string clean(const char* from, std::size_t room) {
    std::string text(from, ::strnlen(from, room));
    std::replace_if(
        text.begin(), text.end(),
        [](char one) { return one < ' ' || one > '~' || one == '"' || one == '\\'; }, '?');
    return text;
}

// The first bytes of a descriptor.
struct beginning {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t size;
    std::uint64_t physical;
};

void look_at(const guest_memory& memory, std::uint64_t physical, search_result& to) {
    beginning begin;
    const std::span<std::uint8_t> room(reinterpret_cast<std::uint8_t*>(&begin), sizeof begin);
    if (memory.read(physical, room) != sizeof begin || begin.magic != td::descriptor_magic) {
        return;
    }
    if (begin.physical != physical) {
        to.strays.push_back({physical, begin.physical});
        return;
    }
    found_trace found;
    if (read_trace(memory, physical, found)) {
        to.traces.push_back(std::move(found));
    }
}

std::vector<event_type> good_events(const td::descriptor& of, std::vector<std::string>& problems) {
    const std::uint32_t length = std::min(of.type_length, of.type_capacity);
    std::vector<event_type> good;
    std::set<std::uint32_t> ids;
    for (event_type& one : read_table(td::types_of(of), length)) {
        std::set<std::string> names;
        const bool are_unique =
            std::all_of(one.fields.begin(), one.fields.end(),
                        [&](const field_type& field) { return names.insert(field.name).second; });
        if (!are_unique || !ids.insert(one.id).second) {
            problems.push_back(
                fmt::format("event {} ({}) is described in a way that no reader takes: it is "
                            "left out",
                            one.id, one.name));
            continue;
        }
        good.push_back(std::move(one));
    }
    return good;
}

} // namespace

bool read_trace(const guest_memory& memory, std::uint64_t physical, found_trace& to) {
    beginning begin;
    const std::span<std::uint8_t> room(reinterpret_cast<std::uint8_t*>(&begin), sizeof begin);
    if (memory.read(physical, room) != sizeof begin || begin.magic != td::descriptor_magic ||
        memory.available(physical, begin.size) != begin.size) {
        return false;
    }
    // Once more: of a running machine it may be another one by now.
    to.physical = physical;
    to.bytes = aligned_bytes(begin.size);
    memory.read(physical, {to.bytes.data(), to.bytes.size()});
    return td::is_descriptor(to.bytes.data(), to.bytes.size(), physical);
}

search_result find_traces(const guest_memory& memory, const std::vector<memory_piece>& only) {
    search_result result;
    for (const memory_piece& piece : only) {
        constexpr std::uint64_t step = td::descriptor_alignment;
        const std::uint64_t skip = (step - piece.physical % step) % step;
        for (std::uint64_t at = skip; at < piece.bytes.size(); at += step) {
            std::uint64_t magic = 0;
            if (piece.bytes.size() - at >= sizeof magic) {
                std::memcpy(&magic, piece.bytes.data() + at, sizeof magic);
            }
            if (magic == td::descriptor_magic) {
                look_at(memory, piece.physical + at, result);
            }
        }
    }
    const auto is_earlier = [](const auto& a, const auto& b) { return a.physical < b.physical; };
    std::sort(result.traces.begin(), result.traces.end(), is_earlier);
    return result;
}

search_result find_traces(const guest_memory& memory) {
    return find_traces(memory, memory.pieces());
}

void describe_tables(const td::descriptor& of, trace_description& to,
                     std::vector<std::string>& problems) {
    to.events = good_events(of, problems);
    to.images.clear();
    for (std::uint32_t i = 0; i < std::min(of.image_count, of.image_capacity); ++i) {
        const td::code_image& one = td::images_of(of)[i];
        if (one.size != 0) {
            to.images.push_back({clean(one.file, sizeof one.file),
                                 clean(one.section, sizeof one.section), one.begin, one.size,
                                 one.linked, one.loaded, one.unloaded});
        }
    }
    to.ended = name_of(static_cast<td::machine_state>(of.state));
}

trace_description describe(const td::descriptor& of, std::vector<std::string>& problems) {
    trace_description made;
    std::copy(std::begin(of.uuid), std::end(of.uuid), made.uuid.begin());
    made.stream_id = of.stream_id;
    made.frequency = of.frequency;
    if (made.frequency == 0) {
        problems.emplace_back("the frequency of the clock is not there: 1 GHz is assumed");
        made.frequency = 1'000'000'000;
    }
    made.clock_offset = of.clock_offset;
    made.has_context = of.has_context != 0;
    made.tracer_name = clean(of.tracer_name, sizeof of.tracer_name);
    made.width = of.width;
    made.system = clean(of.system, sizeof of.system);
    describe_tables(of, made, problems);
    return made;
}

std::vector<td::buffer_place> list_places(const td::descriptor& of) {
    const td::buffer_place* const begin = td::places_of(of);
    return {begin, begin + std::min(of.place_count, of.place_capacity)};
}

std::string stream_name(const ring_buffer::header& in, std::vector<std::string>& taken) {
    std::string channel(in.name, ::strnlen(in.name, sizeof in.name));
    for (char& one : channel) {
        const bool is_letter = (one | 0x20) >= 'a' && (one | 0x20) <= 'z';
        if (!is_letter && !(one >= '0' && one <= '9') && one != '-') {
            one = '_';
        }
    }
    const std::string plain = fmt::format("{}_{}", channel.empty() ? "buffer" : channel, in.cpu);
    std::string name = plain;
    for (unsigned i = 2; std::find(taken.begin(), taken.end(), name) != taken.end(); ++i) {
        name = fmt::format("{}_{}", plain, i);
    }
    taken.push_back(name);
    return name;
}

std::string name_of(td::machine_state state) {
    switch (state) {
    case td::machine_state::running:
        return "running";
    case td::machine_state::panicked:
        return "panicked";
    case td::machine_state::ended:
        return "ended";
    }
    return "running";
}

} // namespace nmisafe::tool
