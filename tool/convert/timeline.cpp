// SPDX-License-Identifier: MIT
#include "tool/convert/timeline.hpp"

#include <string>

namespace nmisafe::tool {

namespace {

// The field's text or number; empty if there is none of that name.
std::string text_of(const trace_event& event, std::string_view name) {
    field_value value;
    if (!find_field(event, name, value)) {
        return {};
    }
    return value.text.data() != nullptr ? std::string(value.text) : std::to_string(value.number);
}

std::int64_t number_of(const trace_event& event, std::string_view name) {
    field_value value;
    return find_field(event, name, value) ? static_cast<std::int64_t>(value.number) : 0;
}

// What the span that begins with it is called.
std::string label_of(const trace_event& event) {
    const std::string& name = event.type->name;
    if (name == "sched_switch") {
        const std::string task = text_of(event, "next_comm");
        return task.empty() ? "task " + text_of(event, "next_tid") : task;
    }
    if (name == "irq_handler_entry") {
        const std::string handler = text_of(event, "name");
        return handler.empty() ? "interrupt " + text_of(event, "irq") : handler;
    }
    if (name == "trap_entry") {
        return vector_name(static_cast<std::uint64_t>(number_of(event, "vector")));
    }
    return {};
}

bool is_boundary(const std::string& name) {
    return name.ends_with("_entry") || name.ends_with("_exit") || name.starts_with("sys_") ||
           name.starts_with("syscall_") || name == "exit_syscall" || name == "sched_switch" ||
           name == "packet_state";
}

} // namespace

std::string_view track::name() const {
    switch (kind) {
    case span_kind::task:
        return "tasks";
    case span_kind::system_call:
        return "system calls";
    case span_kind::context:
        return context == ctf::context::thread ? "events of tasks" : name_of(context);
    }
    return "";
}

bool timeline::add(const trace_event& event, std::vector<span>& ended) {
    last_time_ = event.time;
    const std::string& name = event.type->name;
    const bool is_shown = !is_boundary(name);
    if (name == "packet_state") {
        return false; // written where a packet begins, by whoever was first
    }
    span_event made{event.time, name, {event.context, event.depth}};
    std::string label;
    if (!is_shown) {
        label = label_of(event);
        made.label = label;
    }
    if (name == "sched_switch") {
        made.next_task = number_of(event, "next_tid");
        made.task = number_of(event, "prev_tid");
    }
    cpus_[event.cpu].add(made, ended);
    return is_shown;
}

track timeline::innermost(const trace_event& event) const {
    const auto found = cpus_.find(event.cpu);
    const std::size_t rows = found != cpus_.end() ? found->second.rows() : 0;
    if (event.depth == 0 || rows == 0) {
        return {event.cpu, 0, span_kind::context, ctf::context::thread};
    }
    return {event.cpu, static_cast<std::uint32_t>(rows - 1), span_kind::context, event.context};
}

std::vector<timeline::of_cpu> timeline::finish() {
    std::vector<of_cpu> all;
    for (auto& [cpu, stack] : cpus_) {
        all.push_back({cpu, {}});
        stack.finish(last_time_, all.back().ended);
    }
    return all;
}

} // namespace nmisafe::tool
