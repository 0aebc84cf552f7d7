// SPDX-License-Identifier: MIT
// The events of one CPU become spans that nest.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nmisafe/ctf/event.hpp"

namespace nmisafe::tool {

// Rows are counted from the bottom: a span lies within the one on the row below it.
enum class span_kind : std::uint8_t {
    task,        // from one sched_switch to the next
    system_call, // what it asked of the kernel, as long as it runs
    context,     // what has interrupted it
};

struct span {
    std::uint64_t begin;
    std::uint64_t end;
    unsigned row;
    span_kind kind;
    ctf::context context;
    std::string name;
};

// What is asked of an event.
struct span_event {
    std::uint64_t time;
    std::string_view name;
    ctf::event_context where;
    // What a span that begins here is called, as "timer" or "#PF"; of sched_switch the next task.
    std::string_view label = {};
    std::int64_t next_task = 0; // of sched_switch: the next task's number
    std::int64_t task = 0;      // of sched_switch: the task's that ends here
};

// "NMI"; what a span is called whose events do not say it.
std::string_view name_of(ctf::context context);

// "#PF" of 14; "vector 32" of what has no name. [SDM vol. 3, 6.3.1]
std::string vector_name(std::uint64_t vector);

class context_stack {
  public:
    // What runs when the trace begins, if that is known: the first sched_switch says what it ends.
    void begin(std::uint64_t time, std::string_view task);

    // Takes an event, not older than the one before it, and appends the spans that have ended to
    // `to`: inner ones before outer ones. Spans without length are kept: two events at a time.
    void add(const span_event& event, std::vector<span>& to);

    // The trace is over: all that is open ends.
    void finish(std::uint64_t time, std::vector<span>& to);

    // Spans that are open now.
    std::size_t rows() const { return open_.size(); }

  private:
    struct frame {
        std::uint64_t begin;
        span_kind kind;
        ctf::context context;
        unsigned depth; // of the context
        std::string name;
        std::string_view pair = {}; // "nmi" of nmi_entry; empty: no such event was seen
    };

    void push_thread(span_kind kind, std::uint64_t time, std::string_view name);
    void pop(std::uint64_t time, std::vector<span>& to);
    void pop_to(std::size_t rows, std::uint64_t time, std::vector<span>& to);
    void reach(const span_event& event, std::vector<span>& to);
    void switch_task(const span_event& event, std::vector<span>& to);
    const frame* context_at(unsigned depth) const;

    std::vector<frame> open_;
    // The system call that a task is in that does not run now.
    std::map<std::int64_t, std::string> waiting_;
};

} // namespace nmisafe::tool
