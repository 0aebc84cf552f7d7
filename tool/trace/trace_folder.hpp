// SPDX-License-Identifier: MIT
// A trace on disk: `metadata`, `.metadata.ctf2`, `.nmisafe.json`, and a file for each stream, `<channel>_<cpu>`.
// It is read piece by piece: memory is needed for a packet of each stream, however long the trace is.
//
//     const trace_folder folder("trace");
//     trace_problems problems;
//     trace_reader reader(folder, problems);
//     for (auto item = reader.next(); item != trace_item::end; item = reader.next()) {
//         if (item == trace_item::event) use(reader.event()); else use(reader.loss());
//     }
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tool/trace/packet_reader.hpp"

namespace nmisafe::tool {

class trace_folder {
  public:
    // Throws a trace_error that says what is missing, or damaged, or foreign.
    explicit trace_folder(const std::filesystem::path& folder);
    // In memory: a file's name -> its bytes.
    explicit trace_folder(std::map<std::string, std::string> files);
    trace_folder(const trace_folder&) = delete;
    trace_folder& operator=(const trace_folder&) = delete;

    const trace_description& description() const { return description_; }
    const event_index& events() const { return index_; }
    // Of the files, in their names' order: "kernel_0".
    const std::vector<std::string>& streams() const { return streams_; }
    const std::filesystem::path& path() const { return path_; }
    // What is wrong beside the streams: `.nmisafe.json` is damaged.
    const std::vector<std::string>& warnings() const { return warnings_; }

    packet_reader open(std::size_t stream, trace_problems& problems) const;
    std::uint64_t bytes() const; // of all streams

    // Nanoseconds since the clock's 0, or since 1970.
    std::uint64_t nanoseconds(std::uint64_t time) const;
    std::uint64_t real_nanoseconds(std::uint64_t time) const;

  private:
    void read();
    std::unique_ptr<byte_source> source(const std::string& name) const;
    std::string whole(const std::string& name) const;
    bool has(const std::string& name) const;

    std::filesystem::path path_;
    bool is_memory_ = false;
    std::map<std::string, std::string> memory_;
    trace_description description_;
    event_index index_;
    std::vector<std::string> streams_;
    std::vector<std::string> warnings_;
};

enum class trace_item { end, event, loss };

// All events and losses of a trace in the order of their times. Each problem is reported; what is readable
// is read all the same: the rest of a packet behind an event that is none is left out, and so is what is no
// packet.
class trace_reader {
  public:
    // `wanted`: of the streams, by their numbers; empty: all. Throws a trace_error, as next() does.
    trace_reader(const trace_folder& folder, trace_problems& problems,
                 const std::vector<std::size_t>& wanted = {});
    ~trace_reader();

    trace_item next();
    const trace_event& event() const { return *event_; } // until next()
    const trace_loss& loss() const { return *loss_; }

    std::uint64_t bytes_read() const; // of trace_folder::bytes()
    // Whatever the problems: an event that was there, but could not be read.
    std::uint64_t packets() const;

  private:
    class stream;

    std::vector<std::unique_ptr<stream>> streams_;
    stream* current_ = nullptr;
    std::uint64_t limit_ = 0; // the earliest time of the others
    const trace_event* event_ = nullptr;
    const trace_loss* loss_ = nullptr;
};

} // namespace nmisafe::tool
