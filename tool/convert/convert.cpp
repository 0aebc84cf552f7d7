// SPDX-License-Identifier: MIT
#include "tool/convert/convert.hpp"

#include <map>

#include "tool/trace/trace_writer.hpp"

namespace nmisafe::tool {

namespace {

constexpr unsigned items_between = 1 << 14; // of asking for progress

conversion_result drain(trace_reader& from, trace_sink& to, const on_progress& progress) {
    conversion_result result;
    unsigned until_progress = items_between;
    for (trace_item item = from.next(); item != trace_item::end; item = from.next()) {
        if (item == trace_item::event) {
            ++result.events;
            to.event(from.event());
        } else {
            result.lost += from.loss().all_events();
            to.loss(from.loss());
        }
        if (--until_progress == 0) {
            until_progress = items_between;
            if (!progress(from.bytes_read())) {
                result.is_stopped = true;
                break;
            }
        }
    }
    return result;
}

// The CPUs of a trace, each with the streams that have it in their first packet.
std::map<std::uint32_t, std::vector<std::size_t>> cpus_of(const trace_folder& folder) {
    std::map<std::uint32_t, std::vector<std::size_t>> found;
    for (std::size_t i = 0; i < folder.streams().size(); ++i) {
        trace_problems again; // they are found once more when it is read
        packet_reader packets = folder.open(i, again);
        if (packets.next()) {
            found[packets.header().cpu_id].push_back(i);
        }
    }
    return found;
}

conversion_result convert_by_cpu(const conversion& how, trace_problems& problems,
                                 const on_progress& progress) {
    const std::unique_ptr<speedscope_sink> sink = make_speedscope_sink(how);
    conversion_result all;
    for (const auto& [cpu, streams] : cpus_of(how.folder)) {
        sink->begin(cpu);
        trace_reader reader(how.folder, problems, streams);
        const conversion_result one = drain(reader, *sink, progress);
        all.events += one.events;
        all.lost += one.lost;
        all.is_stopped = one.is_stopped;
        if (all.is_stopped) {
            return all;
        }
    }
    sink->finish();
    return all;
}

std::unique_ptr<trace_sink> make_sink(const conversion& how, std::string_view format) {
    if (format == "text") {
        return make_text_sink(how);
    }
    if (format == "perfetto") {
        return make_perfetto_sink(how);
    }
    if (format == "chrome") {
        return make_chrome_sink(how);
    }
    if (format == "html") {
        return make_html_sink(how);
    }
    if (format == "folded") {
        return make_folded_sink(how);
    }
    throw trace_error("unknown format " + std::string(format));
}

} // namespace

conversion_result feed(const trace_folder& folder, trace_sink& to, trace_problems& problems,
                       const on_progress& progress) {
    trace_reader reader(folder, problems);
    return drain(reader, to, progress);
}

conversion_result convert_events(const conversion& how, std::string_view format,
                                 trace_problems& problems, const on_progress& progress) {
    conversion_result result;
    if (format == "speedscope") {
        result = convert_by_cpu(how, problems, progress);
    } else {
        const std::unique_ptr<trace_sink> sink = make_sink(how, format);
        result = feed(how.folder, *sink, problems, progress);
        if (!result.is_stopped) {
            sink->finish();
        }
    }
    if (!result.is_stopped) {
        how.out.finish();
    }
    return result;
}

conversion_result convert_packets(const trace_folder& folder, const std::filesystem::path& to,
                                  std::string_view format, trace_problems& problems,
                                  const on_progress& progress) {
    conversion_result result;
    trace_writer writer(to, folder.description(), false,
                        format == "ctf2" ? trace_format::ctf2 : trace_format::ctf);
    std::uint64_t done = 0;
    for (std::size_t i = 0; i < folder.streams().size() && !result.is_stopped; ++i) {
        packet_reader packets = folder.open(i, problems);
        std::uint64_t lost = 0;
        bool has_packet = false;
        bool is_empty = packets.size() == 0;
        while (!result.is_stopped && packets.next()) {
            const append_result one = writer.append(packets.name(), packets.content());
            for (const std::string& problem : one.problems) {
                packets.report(problem);
            }
            result.events += one.events;
            has_packet = has_packet || one.is_written;
            lost = 0;
            for (const std::uint64_t cause : one.lost) {
                lost += cause;
            }
            result.is_stopped = !progress(done + packets.offset());
        }
        if (is_empty && !has_packet) {
            writer.add_stream(packets.name());
        }
        result.lost += lost;
        done += packets.size();
    }
    writer.finish();
    return result;
}

} // namespace nmisafe::tool
