// SPDX-License-Identifier: MIT
#include "tool/spans/context_stack.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

// What begins or ends a system call is told from other events by how it is called alone.
constexpr std::string_view call_entries[] = {"syscall_entry_", "syscall_entry", "sys_"};
constexpr std::string_view call_exits[] = {"syscall_exit", "exit_syscall"};

// Contexts whose entry and exit are events, "nmi_entry" and "nmi_exit".
constexpr std::string_view pairs[] = {"nmi",     "trap",          "irq_handler",
                                      "softirq", "machine_check", "debug"};

bool begins_with(std::string_view name, std::string_view start) {
    return name.substr(0, start.size()) == start;
}

template <std::size_t N>
bool begins_with_any(std::string_view name, const std::string_view (&starts)[N]) {
    return std::any_of(std::begin(starts), std::end(starts),
                       [&](std::string_view start) { return begins_with(name, start); });
}

// "nmi" of "nmi_entry" if the end is "_entry"; empty for all other events.
std::string_view pair_of(std::string_view name, std::string_view end) {
    for (const std::string_view pair : pairs) {
        if (name.size() == pair.size() + end.size() && begins_with(name, pair) &&
            name.substr(pair.size()) == end) {
            return pair;
        }
    }
    return {};
}

std::string_view call_name(const span_event& event) {
    if (!event.label.empty()) {
        return event.label;
    }
    std::string_view name = event.name;
    for (const std::string_view start : call_entries) {
        if (name.size() > start.size() && begins_with(name, start)) {
            name.remove_prefix(start.size());
            return name;
        }
    }
    return "system call";
}

} // namespace

std::string_view name_of(ctf::context context) {
    switch (context) {
    case ctf::context::thread:
        return "thread";
    case ctf::context::softirq:
        return "softirq";
    case ctf::context::interrupt:
        return "interrupt";
    case ctf::context::trap:
        return "trap";
    case ctf::context::nmi:
        return "NMI";
    case ctf::context::machine_check:
        return "#MC";
    case ctf::context::debug:
        return "#DB";
    }
    return "unknown context";
}

std::string vector_name(std::uint64_t vector) {
    static constexpr std::array<const char*, 22> names = {
        "#DE", "#DB", "NMI", "#BP", "#OF",   "#BR", "#UD", "#NM", "#DF", nullptr, "#TS",
        "#NP", "#SS", "#GP", "#PF", nullptr, "#MF", "#AC", "#MC", "#XM", "#VE",   "#CP"};
    if (vector < names.size() && names[vector] != nullptr) {
        return names[vector];
    }
    return fmt::format("vector {}", vector);
}

void context_stack::push_thread(span_kind kind, std::uint64_t time, std::string_view name) {
    open_.push_back({time, kind, ctf::context::thread, 0, std::string(name)});
}

void context_stack::pop(std::uint64_t time, std::vector<span>& to) {
    frame& last = open_.back();
    to.push_back({last.begin, time, static_cast<unsigned>(open_.size() - 1), last.kind,
                  last.context, std::move(last.name)});
    open_.pop_back();
}

void context_stack::pop_to(std::size_t rows, std::uint64_t time, std::vector<span>& to) {
    while (open_.size() > rows) {
        pop(time, to);
    }
}

const context_stack::frame* context_stack::context_at(unsigned depth) const {
    const auto found = std::find_if(open_.begin(), open_.end(), [&](const frame& one) {
        return one.kind == span_kind::context && one.depth == depth;
    });
    return found == open_.end() ? nullptr : &*found;
}

// Makes the innermost span the one that the event is in.
void context_stack::reach(const span_event& event, std::vector<span>& to) {
    const unsigned depth = event.where.depth;
    while (!open_.empty() && open_.back().depth > depth) {
        pop(event.time, to);
    }
    if (const frame* at = context_at(depth);
        at != nullptr && at->context != event.where.innermost) {
        pop(event.time, to); // it is the last: deeper ones are gone
    }
    for (unsigned level = 1; level <= depth; ++level) {
        if (context_at(level) != nullptr) {
            continue;
        }
        // Of what lies between it is known that it is there, and no more.
        const bool is_innermost = level == depth;
        open_.push_back(
            {event.time, span_kind::context,
             is_innermost ? event.where.innermost : ctf::context::interrupt, level,
             std::string(is_innermost ? name_of(event.where.innermost) : "interrupted context")});
    }
}

void context_stack::switch_task(const span_event& event, std::vector<span>& to) {
    for (const frame& one : open_) {
        if (one.kind == span_kind::system_call) {
            waiting_[event.task] = one.name;
        }
    }
    pop_to(0, event.time, to);
    push_thread(span_kind::task, event.time, event.label);
    if (const auto found = waiting_.find(event.next_task); found != waiting_.end()) {
        push_thread(span_kind::system_call, event.time, found->second);
        waiting_.erase(found);
    }
}

void context_stack::begin(std::uint64_t time, std::string_view task) {
    push_thread(span_kind::task, time, task);
}

void context_stack::add(const span_event& event, std::vector<span>& to) {
    if (event.name == "sched_switch") {
        switch_task(event, to);
        return;
    }
    const unsigned depth = event.where.depth;
    if (depth == 0) {
        reach(event, to);
        const bool begins = begins_with_any(event.name, call_entries);
        if ((begins || begins_with_any(event.name, call_exits)) && !open_.empty() &&
            open_.back().kind == span_kind::system_call) {
            pop(event.time, to);
        }
        if (begins) {
            push_thread(span_kind::system_call, event.time, call_name(event));
        }
        return;
    }
    if (const std::string_view entered = pair_of(event.name, "_entry"); !entered.empty()) {
        // One of this depth that is open has lost its exit.
        while (!open_.empty() && open_.back().depth >= depth) {
            pop(event.time, to);
        }
        reach(event, to);
        open_.back().pair = entered;
        if (!event.label.empty()) {
            open_.back().name = event.label;
        }
        return;
    }
    reach(event, to);
    const std::string_view left = pair_of(event.name, "_exit");
    if (!left.empty() && (open_.back().pair.empty() || open_.back().pair == left)) {
        pop(event.time, to);
    }
}

void context_stack::finish(std::uint64_t time, std::vector<span>& to) {
    pop_to(0, time, to);
    waiting_.clear();
}

} // namespace nmisafe::tool
