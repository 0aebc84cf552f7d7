// SPDX-License-Identifier: MIT
// A trace as the page has it: README.md says what the JSON is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tool/spans/context_stack.hpp"

namespace nmisafe::tool {

// Names that are stored once.
class name_table {
  public:
    std::uint32_t index_of(std::string_view name);
    const std::vector<std::string>& all() const { return names_; }

  private:
    std::vector<std::string> names_;
    std::unordered_map<std::string, std::uint32_t> indices_;
};

struct view_field {
    std::string name;
    bool is_text;
};

// What a field that is text, or is not, has for an event.
using view_value = std::variant<std::int64_t, std::uint64_t, std::string_view>;

class view_data {
  public:
    std::string title;
    std::vector<std::pair<std::string, std::string>> facts;

    // Returns the number by which events say what they are.
    std::uint32_t add_kind(std::string_view name, const std::vector<view_field>& fields);

    // Times do not go back on a CPU; as many values as the kind has fields.
    void add_event(unsigned cpu, std::uint64_t time, std::uint32_t kind, ctf::event_context where,
                   const std::vector<view_value>& values);
    // In any order. What is shown of a loss ends with the events and spans.
    void add_span(unsigned cpu, const span& one);
    void add_loss(unsigned cpu, std::uint64_t begin, std::uint64_t end, std::uint64_t count,
                  std::string_view channel);
    // A sample, its functions from the outermost to the innermost.
    void add_calls(const std::vector<std::string>& chain, std::uint64_t samples = 1);

    // The JSON, in which there is no "<": it may stand in a page.
    std::string json() const;

  private:
    struct event_kind {
        std::uint32_t name;
        std::vector<std::pair<std::uint32_t, bool>> fields;
    };
    struct event {
        std::uint64_t time;
        std::uint32_t kind;
        ctf::event_context where;
    };
    // A value that a name has, or a number of either sign.
    struct stored_value {
        std::uint64_t bits;
        enum : std::uint8_t { name, positive, negative } how;
    };
    struct stored_span {
        std::uint64_t begin;
        std::uint64_t length;
        std::uint32_t row;
        std::uint32_t context;
        std::uint32_t name;
    };
    struct loss {
        std::uint64_t begin;
        std::uint64_t end;
        std::uint64_t count;
        std::uint32_t channel;
    };
    struct cpu_data {
        unsigned cpu;
        std::vector<event> events;
        std::vector<stored_value> values;
        std::vector<stored_span> spans;
        std::vector<loss> losses;
    };
    struct call {
        std::uint32_t name;
        std::int64_t parent;
        std::uint64_t samples;
    };

    cpu_data& of_cpu(unsigned cpu);
    std::pair<std::uint64_t, std::uint64_t> range() const;

    name_table names_;
    std::vector<event_kind> kinds_;
    std::vector<cpu_data> cpus_;
    std::vector<call> calls_;
    std::unordered_map<std::uint64_t, std::size_t> call_by_parent_and_name_;
};

// The whole page.
std::string timeline_page(const view_data& data);

} // namespace nmisafe::tool
