// SPDX-License-Identifier: MIT
#include "tool/command/extract_command.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

#include "tool/command/run_command.hpp"
#include "tool/files/output_file.hpp"
#include "tool/memory/dead_trace.hpp"
#include "tool/memory/memory_image.hpp"
#include "tool/trace/trace_writer.hpp"

namespace nmisafe::tool {

namespace {

void complain(const std::string& what) {
    std::fputs(fmt::format("nmisafe: {}\n", what).c_str(), stderr);
}

// The first few: a damaged image may have thousands of one kind.
void complain(const std::vector<std::string>& all) {
    constexpr std::size_t most = 20;
    for (std::size_t i = 0; i < std::min(all.size(), most); ++i) {
        complain(all[i]);
    }
    if (all.size() > most) {
        complain(fmt::format("and {} more of this kind", all.size() - most));
    }
}

std::string why_none(const search_result& found, const std::string& kind) {
    if (found.strays.empty()) {
        return fmt::format(
            "there is no trace in this {}: nothing in it begins with NMSAFET1 at a multiple of "
            "4096 bytes",
            kind);
    }
    const search_result::stray& first = found.strays.front();
    return fmt::format(
        "the trace's descriptor at {:#x} says that it lies at {:#x}: is the image of memory that "
        "begins at {:#x}? (--base)",
        first.physical, first.says, first.says - first.physical);
}

// The one that was asked for, or that has most buffers; null: none.
const found_trace* choose(const guest_memory& memory, const std::vector<found_trace>& from,
                          const std::optional<std::uint64_t>& wanted) {
    const found_trace* best = nullptr;
    std::size_t most = 0;
    for (const found_trace& one : from) {
        const std::size_t buffers = count_buffers(memory, one.descriptor());
        if (wanted ? one.physical == *wanted : best == nullptr || buffers > most) {
            best = &one;
            most = buffers;
        }
    }
    for (const found_trace& one : from) {
        if (best != nullptr && &one != best) {
            complain(fmt::format("there is another trace, at {:#x} (--descriptor)", one.physical));
        }
    }
    return best;
}

struct totals {
    std::uint64_t buffers = 0;
    std::uint64_t packets = 0;
    std::uint64_t unfinished = 0;
    std::uint64_t events = 0;
    std::uint64_t lost = 0;
    std::uint64_t uncommitted = 0;
};

void write_buffer(const dead_buffer& from, trace_writer& to, totals& all,
                  std::vector<std::string>& problems) {
    const event_index events(to.description().events);
    const auto complain_of = [&](const std::string& what) {
        problems.push_back(fmt::format("{}: {}", from.stream, what));
    };
    std::uint64_t lost = 0;
    to.add_stream(from.stream);
    const salvage_result done =
        salvage(from.in, from.available, [&](std::span<std::uint8_t> packet) {
            set_end(packet, events, to.description().has_context);
            const append_result result = to.append(from.stream, packet);
            all.events += result.events;
            std::for_each(result.problems.begin(), result.problems.end(), complain_of);
            lost = 0;
            for (const std::uint64_t one : result.lost) {
                lost += one;
            }
        });
    std::for_each(done.problems.begin(), done.problems.end(), complain_of);
    ++all.buffers;
    all.packets += done.packets;
    all.unfinished += done.unfinished;
    all.uncommitted += done.uncommitted;
    all.lost += lost;
}

int extract(const extract_options& options) {
    const memory_image image(options.image);
    const image_layout layout = read_layout(image.bytes(), options.base);
    const search_result found = find_traces(layout.memory);
    std::vector<std::string> problems = layout.problems;
    complain(problems);
    const found_trace* const trace = choose(layout.memory, found.traces, options.descriptor);
    if (trace == nullptr) {
        throw trace_error(why_none(found, layout.kind));
    }
    problems.clear();
    trace_description about = describe(trace->descriptor(), problems);
    about.kernel = options.kernel;
    trace_writer writer(options.output, about, options.replace);
    totals all;
    for_each_buffer(layout.memory, trace->descriptor(), problems,
                    [&](const dead_buffer& one) { write_buffer(one, writer, all, problems); });
    writer.finish();
    complain(problems);
    print_now(
        stdout,
        fmt::format("{}: {} events in {} packets of {} buffers, {} of them unfinished; {} events "
                    "lost; the machine: {}\n",
                    options.output.string(), all.events, all.packets + all.unfinished, all.buffers,
                    all.unfinished, all.lost, about.ended));
    if (all.uncommitted != 0) {
        print_now(stdout,
                  fmt::format("left out: {} bytes behind events that were never completed\n",
                              all.uncommitted));
    }
    return problems.empty() && layout.problems.empty() ? exit_all_passed : exit_some_failed;
}

} // namespace

int extract_command(const extract_options& options) {
    try {
        return extract(options);
    } catch (const trace_error& error) {
        const std::string what = error.what();
        const std::string name = options.image.string();
        // What the file's name is in already is said of that file.
        const bool is_named = what.starts_with(name) || what.starts_with(options.output.string());
        return refuse(is_named ? what : fmt::format("{}: {}", name, what));
    }
}

} // namespace nmisafe::tool
