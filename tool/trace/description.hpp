// SPDX-License-Identifier: MIT
// What a trace says of itself: its events, its clock, the code that its addresses are in.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "nmisafe/ctf/event.hpp"
#include "nmisafe/ctf/table.hpp"

namespace nmisafe::tool {

// What makes all of a trace unreadable, in one line, with the file's name.
struct trace_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct field_type {
    std::string name;
    ctf::kind type = ctf::kind::u32;
    ctf::base shown = ctf::base::decimal;

    bool operator==(const field_type&) const = default;
};

struct event_type {
    std::uint32_t id = 0;
    std::string name;
    std::vector<field_type> fields;

    bool operator==(const event_type&) const = default;
};

event_type to_event_type(const ctf::event& from);
// All events of a ctf table, up to the first that is not whole.
std::vector<event_type> read_table(const std::uint8_t* table, std::size_t length);

// As trace_descriptor::code_image.
struct code_image {
    std::string file;
    std::string section;
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    std::uint64_t linked = 0;
    std::uint64_t loaded = 0;
    std::uint64_t unloaded = 0;

    bool operator==(const code_image&) const = default;
};

struct trace_description {
    // In the metadata.
    std::array<std::uint8_t, 16> uuid{};
    std::uint32_t stream_id = 0;
    std::uint64_t frequency = 1'000'000'000; // of the clock, in Hz
    std::uint64_t clock_offset = 0;          // the clock's units from 1970 to its 0
    bool has_context = true;                 // each event begins with a ctf::event_context
    std::string tracer_name = "nmisafe";
    std::string domain = "kernel";
    std::vector<event_type> events;

    // Beside it, in `.nmisafe.json`.
    unsigned width = 64;
    std::string system;             // what it is that was traced
    std::string kernel;             // path of the kernel's ELF file
    std::string ended = "running";  // when the trace was taken: running, panicked, ended
    std::vector<code_image> images; // without those of size 0

    bool operator==(const trace_description&) const = default;
};

// Why readers would not take it (a name that is no identifier, a number twice, a clock of 0 Hz), or empty.
std::string check_description(const trace_description& about);

} // namespace nmisafe::tool
