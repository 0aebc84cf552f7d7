// SPDX-License-Identifier: MIT
// A machine's memory with a trace in it, made as a kernel makes it, and a reader of what is got out of it.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "nmisafe/ctf/table.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "tool/memory/dead_trace.hpp"
#include "tool/memory/memory_image.hpp"
#include "tool/trace/metadata.hpp"
#include "tool/trace/trace_folder.hpp"
#include "tool/trace/trace_writer.hpp"

namespace nmisafe::tool::test {

struct counting_clock {
    static inline std::uint64_t now = 1000;
    std::uint64_t read() const { return ++now; }
};

struct dead_machine {
    static constexpr std::size_t size = 128 << 10;
    static constexpr std::uint64_t descriptor_at = 0x3000;
    static constexpr std::uint64_t block_at[2] = {0x8000, 0x10000};
    static constexpr std::uint32_t serial_id = 3;

    aligned_bytes ram{size};
    trace_descriptor::descriptor* descriptor = nullptr;
    ring_buffer::header* buffers[2] = {};
    std::uint32_t written = 0;

    explicit dead_machine(ring_buffer::mode mode, std::uint32_t slots = 4) {
        static constexpr std::uint8_t uuid[16] = {1, 2, 3, 4, 5};
        constexpr ctf::field fields[] = {{"serial", ctf::kind::u32}, {"name", ctf::kind::string}};
        const ctf::event event{serial_id, "test", fields};
        descriptor = *trace_descriptor::create_descriptor(ram.data() + descriptor_at, 0x2000,
                                                          {.physical = descriptor_at,
                                                           .frequency = 1'000'000'000,
                                                           .uuid = uuid,
                                                           .stream_id = 4,
                                                           .place_capacity = 8,
                                                           .image_capacity = 8,
                                                           .type_capacity = 1024,
                                                           .has_context = false});
        static_cast<void>(
            ctf::append(const_cast<std::uint8_t*>(trace_descriptor::types_of(*descriptor)), 1024,
                        descriptor->type_length, event));
        for (std::uint32_t cpu = 0; cpu < 2; ++cpu) {
            buffers[cpu] = *ring_buffer::create(ram.data() + block_at[cpu], 0x8000,
                                                {.sub_buffer_size = 512,
                                                 .sub_buffer_count = slots,
                                                 .mode = mode,
                                                 .cpu = cpu,
                                                 .stream_id = 4,
                                                 .frequency = 1'000'000'000,
                                                 .uuid = uuid,
                                                 .name = "kernel"});
            static_cast<void>(
                trace_descriptor::add_place(*descriptor, {block_at[cpu], 0x8000, cpu}));
        }
    }

    std::span<const std::uint8_t> image() const { return {ram.data(), size}; }

    // What is written before commit(); some have no room.
    ring_buffer::reservation open(std::uint32_t cpu) {
        constexpr std::uint32_t payload = 4 + 3;
        const auto made = ring_buffer::reserve(*buffers[cpu], serial_id, payload, counting_clock{});
        if (made) {
            std::memcpy(made.payload, &written, sizeof written);
            std::memcpy(made.payload + sizeof written, "ab", 3);
        }
        ++written;
        return made;
    }
    void event(std::uint32_t cpu) {
        if (const auto made = open(cpu)) {
            ring_buffer::commit(*buffers[cpu], made);
        }
    }
};

// The trace, as the tool would write it to a folder, but in memory.
struct extracted {
    std::map<std::string, std::string> files;
    std::vector<std::string> problems;
    std::uint64_t uncommitted = 0;
    std::uint64_t unfinished = 0;
};

// Throws a trace_error, as the command.
inline extracted extract_in_memory(std::span<const std::uint8_t> image, std::uint64_t base = 0) {
    extracted made;
    const image_layout layout = read_layout(image, base);
    made.problems = layout.problems;
    const search_result found = find_traces(layout.memory);
    if (found.traces.empty()) {
        throw trace_error("no trace");
    }
    const trace_descriptor::descriptor& of = found.traces.front().descriptor();
    const trace_description about = describe(of, made.problems);
    const event_index index(about.events);
    for_each_buffer(layout.memory, of, made.problems, [&](const dead_buffer& one) {
        stream_state state;
        std::string& file = made.files[one.stream];
        const salvage_result done =
            salvage(one.in, one.available, [&](std::span<std::uint8_t> packet) {
                set_end(packet, index, about.has_context);
                const repaired_packet good = repair(packet, state, about, index);
                made.problems.insert(made.problems.end(), good.problems.begin(),
                                     good.problems.end());
                if (good.is_good) {
                    file.append(reinterpret_cast<const char*>(&good.header), sizeof good.header);
                    file.append(reinterpret_cast<const char*>(packet.data()) + sizeof good.header,
                                good.content - sizeof good.header);
                    go_on(state, good.header, good.last_time);
                }
            });
        made.problems.insert(made.problems.end(), done.problems.begin(), done.problems.end());
        made.uncommitted += done.uncommitted;
        made.unfinished += done.unfinished;
    });
    if (const std::string why = check_description(about); !why.empty()) {
        throw trace_error(why);
    }
    made.files["metadata"] = write_tsdl(about);
    made.files[".metadata.ctf2"] = write_ctf2(about);
    made.files[".nmisafe.json"] = write_sidecar(about);
    return made;
}

struct read_back {
    std::vector<std::uint32_t> serials; // in the order of their times
    std::uint64_t lost = 0;
    std::uint64_t problems = 0;
    std::string first_problem;
};

inline read_back read_all(const extracted& from) {
    read_back made;
    const trace_folder folder(from.files);
    trace_problems problems;
    trace_reader reader(folder, problems);
    for (auto item = reader.next(); item != trace_item::end; item = reader.next()) {
        field_value value;
        if (item == trace_item::loss) {
            made.lost += reader.loss().all_events();
        } else if (find_field(reader.event(), "serial", value)) {
            made.serials.push_back(static_cast<std::uint32_t>(value.number));
        }
    }
    made.problems = problems.count();
    made.first_problem = problems.kept().empty() ? "" : problems.kept().front();
    return made;
}

} // namespace nmisafe::tool::test
