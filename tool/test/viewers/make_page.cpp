// SPDX-License-Identifier: MIT
// A page of a made-up trace, and what must be seen on it as JSON on standard output:
//
//     make_page FILE EVENTS [DAMAGE]
//
// Tasks of two CPUs are interrupted by a timer, whose handler takes a page fault, in which an NMI comes. With a
// damage the trace says something else, and a test must notice.
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tool/views/view_data.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;

namespace {

constexpr std::uint64_t turn = 100'000; // ns; one interrupt each
constexpr unsigned events_a_turn = 11;
constexpr const char* tasks[] = {"idle", "editor", "compiler"};

class maker {
  public:
    maker(view_data& page, std::string damage) : page_(page), damage_(std::move(damage)) {
        switch_ = page.add_kind("sched_switch",
                                {{"prev_tid", false}, {"next_comm", true}, {"next_tid", false}});
        call_ = page.add_kind("sys_write", {{"fd", false}, {"address", true}});
        call_end_ = page.add_kind("exit_syscall", {{"ret", false}});
        irq_ = page.add_kind("irq_handler_entry", {{"irq", false}, {"name", true}});
        irq_end_ = page.add_kind("irq_handler_exit", {{"irq", false}, {"ret", false}});
        trap_ = page.add_kind("trap_entry", {{"vector", false}, {"ip", true}});
        trap_end_ = page.add_kind("trap_exit", {{"vector", false}});
        nmi_ = page.add_kind("nmi_entry", {{"ip", true}});
        nmi_end_ = page.add_kind("nmi_exit", {});
        sample_ = page.add_kind("sample", {{"tid", false}, {"chain", true}});
        wakeup_ = page.add_kind("sched_wakeup", {{"comm", true}, {"tid", false}});
    }

    void add_turn(unsigned cpu, std::uint64_t number) {
        using c = ctf::context;
        const std::uint64_t at = number * turn + cpu * 1000;
        const std::int64_t task = static_cast<std::int64_t>(number * 7 / 3 % 3);
        const std::int64_t before = std::exchange(task_[cpu], task);
        put(cpu, at, switch_, {"sched_switch", {c::thread, 0}, tasks[task], task, before},
            {before, tasks[task], task});
        put(cpu, at + 9'000, call_, {"sys_write", {c::thread, 0}},
            {std::int64_t{1}, "0xffffffff81234567"});
        put(cpu, at + 20'000, irq_, {"irq_handler_entry", {c::interrupt, 1}, "timer"},
            {std::int64_t{0}, "timer"});
        put(cpu, at + 22'000, wakeup_, {"sched_wakeup", {c::interrupt, 1}},
            {"editor", std::int64_t{1}});
        put(cpu, at + 30'000, trap_, {"trap_entry", {c::trap, 2}, vector_name(14)},
            {std::int64_t{14}, "handle_timer+0x1c"});
        const unsigned depth = damage_ == "flat" ? 2 : 3;
        const std::string_view chain = task == 1   ? "main < draw"
                                       : task == 2 ? "main < parse"
                                                   : "idle_loop";
        put(cpu, at + 40'000, nmi_, {"nmi_entry", {c::nmi, static_cast<std::uint8_t>(depth)}},
            {"walk_tables+0x8"});
        put(cpu, at + 44'000, sample_, {"sample", {c::nmi, static_cast<std::uint8_t>(depth)}},
            {task, chain});
        put(cpu, at + 48'000, nmi_end_, {"nmi_exit", {c::nmi, static_cast<std::uint8_t>(depth)}},
            {});
        put(cpu, at + 55'000, trap_end_, {"trap_exit", {c::trap, 2}}, {std::int64_t{14}});
        put(cpu, at + 60'000, irq_end_, {"irq_handler_exit", {c::interrupt, 1}},
            {std::int64_t{0}, std::int64_t{1}});
        put(cpu, at + 80'000, call_end_, {"exit_syscall", {c::thread, 0}},
            {std::int64_t{number % 5 == 0 ? -4 : 12}});
        std::vector<std::string> calls = {tasks[task]};
        for (const char* name :
             {"main", task == 1 ? "draw" : "parse", "write", "handle_timer", "walk_tables"}) {
            if (task != 0 || std::string_view(name) == "walk_tables") {
                calls.emplace_back(name);
            }
        }
        page_.add_calls(calls);
        ++samples_;
    }

    void finish(std::uint64_t end) {
        for (unsigned cpu = 0; cpu < 2; ++cpu) {
            stacks_[cpu].finish(end, spans_);
            spans_to(cpu);
        }
    }

    nlohmann::json summary() const {
        return {
            {"events", events_}, {"spans", added_spans_}, {"samples", samples_}, {"turn", turn}};
    }

  private:
    // A span_event but for the time.
    struct what_happened {
        std::string_view name;
        ctf::event_context where;
        std::string label = {};
        std::int64_t next_task = 0;
        std::int64_t task = 0;
    };

    void put(unsigned cpu, std::uint64_t time, std::uint32_t kind, const what_happened& what,
             const std::vector<view_value>& values) {
        stacks_[cpu].add({time, what.name, what.where, what.label, what.next_task, what.task},
                         spans_);
        spans_to(cpu);
        ++events_;
        if (damage_ == "lose" && events_ % 1000 == 0) {
            return;
        }
        page_.add_event(cpu, time, kind, what.where, values);
    }
    void spans_to(unsigned cpu) {
        added_spans_ += spans_.size();
        for (const span& one : spans_) {
            page_.add_span(cpu, one);
        }
        spans_.clear();
    }

    view_data& page_;
    std::string damage_;
    std::uint32_t switch_, call_, call_end_, irq_, irq_end_, trap_, trap_end_, nmi_, nmi_end_,
        sample_, wakeup_;
    context_stack stacks_[2];
    std::int64_t task_[2] = {0, 0};
    std::vector<span> spans_;
    std::uint64_t events_ = 0, added_spans_ = 0, samples_ = 0;
};

} // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        return 2;
    }
    const std::uint64_t turns = std::strtoull(argv[2], nullptr, 10) / (2 * events_a_turn);
    const std::uint64_t end = (turns + 1) * turn;
    view_data page;
    page.title = "a made-up trace";
    page.facts = {{"system", "made up"}};
    maker make(page, argc > 3 ? argv[3] : "");
    for (std::uint64_t number = 0; number < turns; ++number) {
        make.add_turn(0, number);
        make.add_turn(1, number);
    }
    make.finish(end);
    page.add_loss(1, end * 6 / 10, end * 61 / 100, 1234, "kernel");
    std::ofstream(argv[1]) << timeline_page(page);
    fmt::print("{}\n", make.summary().dump());
    return 0;
}
