// SPDX-License-Identifier: MIT
// Makes a trace on disk that every reader takes: what would make one refuse it is left out or mended, and
// said.
//
//     trace_writer writer("trace", description);
//     writer.append("kernel_0", {packet, size});      // as ring_buffer::take() gives it
//     writer.description().events.push_back(...);     // a module came
//     writer.write_metadata();
//     writer.finish();
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tool/files/folder_lock.hpp"
#include "tool/files/output_file.hpp"
#include "tool/trace/packet.hpp"

namespace nmisafe::tool {

enum class trace_format { ctf, ctf2 }; // ctf: with what is beside it, for our own reader

struct append_result {
    bool is_written = false;
    std::uint64_t events = 0; // written
    std::uint64_t
        lost[ring_buffer::loss_count]{}; // up to and with this packet, since the beginning
    std::vector<std::string> problems;   // what was left out or mended, and why
};

class trace_writer {
  public:
    // Makes the folder. Throws a trace_error: it cannot be made, or is not empty (with `replace` a trace of
    // ours is removed from it) or written by somebody else, or the description is none.
    trace_writer(std::filesystem::path folder, trace_description about, bool replace = false,
                 trace_format format = trace_format::ctf);
    ~trace_writer();
    trace_writer(const trace_writer&) = delete;
    trace_writer& operator=(const trace_writer&) = delete;

    // To be added to: events before the first packet with one of them, and images. Then write_metadata().
    trace_description& description() { return about_; }
    // Throws a trace_error: no room, or the description is none.
    void write_metadata();

    // One more packet of a stream, at most as long as its header says. Written: its events up to the first
    // that is none, in a packet without padding; an end without time becomes its last event's. Not written:
    // a packet whose header is not of this trace, or does not follow the stream's last. Throws a trace_error:
    // no room.
    append_result append(const std::string& stream, std::span<const std::uint8_t> packet);

    // An empty stream's file too: a CPU that had no events.
    void add_stream(const std::string& stream);

    // Metadata, and all that is not written yet.
    void finish();

  private:
    struct stream {
        output_file file;
        stream_state state;
    };
    stream& find(const std::string& name);
    void write_file(const std::string& name, const std::string& text);

    std::filesystem::path folder_;
    folder_lock lock_; // as long as it is written
    trace_description about_;
    trace_format format_;
    event_index index_;
    std::size_t indexed_ = 0;
    const event_type* indexed_at_ = nullptr;
    std::map<std::string, std::unique_ptr<stream>> streams_;
};

// The packet as it can be appended behind `before`: a header, and how many bytes of content follow it.
// Empty problems: as it was, but for padding.
struct repaired_packet {
    bool is_good = false;
    ring_buffer::packet_header header{};
    std::size_t content = 0; // bytes, header included
    std::uint64_t events = 0;
    std::uint64_t last_time = 0;
    std::vector<std::string> problems;
};
repaired_packet repair(std::span<const std::uint8_t> packet, const stream_state& before,
                       const trace_description& about, const event_index& events);

} // namespace nmisafe::tool
