// SPDX-License-Identifier: MIT
// Reads a guest's console as it comes and keeps what its records say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tool/protocol/record.hpp"

namespace nmisafe::tool {

// The counters every @row must have. Other keys of a row are extras.
inline constexpr std::string_view row_counters[] = {
    "boundaries", "nmis_raised", "nmis_handled", "nested",
    "lost",       "corrupted",   "unsafe_irets", "failures",
};

struct console_row {
    std::string path; // empty when the experiment has one path only
    std::vector<std::pair<std::string, std::uint64_t>> numbers; // in the order of the record

    // Empty when the row has no such number.
    std::optional<std::uint64_t> number(std::string_view name) const;
};

// Half-open range of addresses.
struct address_range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

// What is measured, and how many items it does its work on.
struct measure_range {
    address_range range;
    std::uint64_t items = 1;
};

struct hello_record {
    std::string arch, experiment, policy, without;
};

struct console_content {
    std::optional<hello_record> hello;
    std::vector<console_row> rows;
    std::vector<std::string> failures; // the text of each @fail
    std::optional<std::string> panic;
    std::map<std::string, address_range> windows;        // by path
    std::map<std::string, std::set<std::uint64_t>> rips; // by path
    std::map<std::string, measure_range> measures;       // by cost name
    std::vector<address_range> text;                     // the kernel's code, and tasks'
    std::uint64_t progress_done = 0;
    std::uint64_t progress_total = 0;
    bool done = false;
    bool empty = true;                // not one byte was printed
    std::string last_text;            // the last line that is not a record
    std::optional<std::string> error; // the first thing that breaks the protocol, line quoted
};

class console_reader {
  public:
    // Takes the next bytes of the console, cut anywhere.
    void feed(std::string_view bytes);
    // The console has ended: a last line without its newline counts as a line.
    void finish();

    const console_content& content() const { return content_; }

  private:
    void take_line(std::string_view line);
    std::string take_record(const record& line);
    std::string take_row(const record& line);
    std::string take_rips(const record& line);

    console_content content_;
    std::string partial_line_;
};

} // namespace nmisafe::tool
