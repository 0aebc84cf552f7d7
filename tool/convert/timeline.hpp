// SPDX-License-Identifier: MIT
// A trace as spans: what each CPU was doing, and what had interrupted that.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "tool/spans/context_stack.hpp"
#include "tool/trace/event.hpp"

namespace nmisafe::tool {

// A track for each CPU, row and context: spans on it do not overlap, and lie within those of the row below.
struct track {
    std::uint32_t cpu = 0;
    std::uint32_t row = 0;
    span_kind kind = span_kind::task;
    ctf::context context = ctf::context::thread;

    auto operator<=>(const track&) const = default;
    // Of its own among the CPU's; those further in have greater ones.
    std::uint32_t number() const {
        return row * 32 + static_cast<std::uint32_t>(kind) * 8 +
               static_cast<std::uint32_t>(context) + 1;
    }
    // "tasks", "system calls", "NMI".
    std::string_view name() const;
};

class timeline {
  public:
    // Appends the spans that end here. true: the event is more than the begin or end of a span.
    bool add(const trace_event& event, std::vector<span>& ended);
    // All that is open ends with the last event. Appends as add() does, of one CPU after the other.
    struct of_cpu {
        std::uint32_t cpu;
        std::vector<span> ended;
    };
    std::vector<of_cpu> finish();

    // Where an event that was added last is shown: on what was innermost then.
    track innermost(const trace_event& event) const;

  private:
    std::map<std::uint32_t, context_stack> cpus_;
    std::uint64_t last_time_ = 0;
};

inline track track_of(std::uint32_t cpu, const span& one) {
    return {cpu, one.row, one.kind, one.context};
}

} // namespace nmisafe::tool
