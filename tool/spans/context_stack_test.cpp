// SPDX-License-Identifier: MIT
#include "tool/spans/context_stack.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace nmisafe::tool {
namespace {

using ctf::context;

// "begin-end row name", in the order in which they end.
std::vector<std::string> spans_of(const std::vector<span_event>& events,
                                  std::string_view task = "") {
    context_stack stack;
    std::vector<span> found;
    if (!task.empty()) {
        stack.begin(0, task);
    }
    for (const span_event& event : events) {
        stack.add(event, found);
    }
    stack.finish(100, found);
    std::vector<std::string> lines;
    for (const span& one : found) {
        lines.push_back(fmt::format("{}-{} {} {}", one.begin, one.end, one.row, one.name));
    }
    return lines;
}

using lines = std::vector<std::string>;

TEST_CASE("an NMI over a page fault over an interrupt over a system call of a task is a stack") {
    CHECK(spans_of({{1, "sched_switch", {context::thread, 0}, "editor", 7, 0},
                    {2, "sys_write", {context::thread, 0}},
                    {3, "irq_handler_entry", {context::interrupt, 1}, "timer"},
                    {4, "trap_entry", {context::trap, 2}, "#PF"},
                    {5, "nmi_entry", {context::nmi, 3}},
                    {6, "sample", {context::nmi, 3}},
                    {7, "nmi_exit", {context::nmi, 3}},
                    {8, "trap_exit", {context::trap, 2}},
                    {9, "irq_handler_exit", {context::interrupt, 1}},
                    {10, "exit_syscall", {context::thread, 0}}}) ==
          lines{"5-7 4 NMI", "4-8 3 #PF", "3-9 2 timer", "2-10 1 write", "1-100 0 editor"});
}

TEST_CASE(
    "contexts without entries and exits last from their first event to the next from outside") {
    CHECK(spans_of({{1, "a", {context::softirq, 1}},
                    {2, "b", {context::softirq, 1}},
                    {3, "c", {context::debug, 2}},
                    {4, "d", {context::thread, 0}}}) == lines{"3-4 1 #DB", "1-4 0 softirq"});
}

TEST_CASE("what lies between the known contexts is there without a name") {
    CHECK(spans_of({{5, "nmi_entry", {context::nmi, 2}}, {6, "nmi_exit", {context::nmi, 2}}}) ==
          lines{"5-6 1 NMI", "5-100 0 interrupted context"});
}

TEST_CASE("an exit that was lost is made up for by the next event outside, or the next entry") {
    CHECK(spans_of({{1, "nmi_entry", {context::nmi, 1}}, {4, "x", {context::thread, 0}}}) ==
          lines{"1-4 0 NMI"});
    CHECK(spans_of({{1, "irq_handler_entry", {context::interrupt, 1}, "timer"},
                    {2, "nmi_entry", {context::nmi, 2}},
                    {5, "irq_handler_entry", {context::interrupt, 1}, "disk"},
                    {6, "irq_handler_exit", {context::interrupt, 1}}}) ==
          lines{"2-5 1 NMI", "1-5 0 timer", "5-6 0 disk"});
}

TEST_CASE("another context at the same depth is another span") {
    CHECK(spans_of({{1, "a", {context::interrupt, 1}}, {3, "b", {context::trap, 1}}}) ==
          lines{"1-3 0 interrupt", "3-100 0 trap"});
}

TEST_CASE("an exit belongs to its own kind of entry, and other names are only events") {
    CHECK(spans_of({{1, "nmi_entry", {context::nmi, 1}},
                    {2, "trap_exit", {context::nmi, 1}},
                    {3, "cache_entry", {context::nmi, 1}},
                    {4, "cache_exit", {context::nmi, 1}},
                    {9, "nmi_exit", {context::nmi, 1}}}) == lines{"1-9 0 NMI"});
}

TEST_CASE(
    "a system call goes on when its task runs again, and ends with the next one at the latest") {
    CHECK(spans_of({{1, "sys_read", {context::thread, 0}},
                    {3, "sched_switch", {context::thread, 0}, "b", 2, 1},
                    {5, "sched_switch", {context::thread, 0}, "a", 1, 2},
                    {6, "exit_syscall", {context::thread, 0}},
                    {7, "sys_by_number", {context::thread, 0}, "call 3"},
                    {8, "sys_write", {context::thread, 0}}},
                   "a") == lines{"1-3 1 read", "0-3 0 a", "3-5 0 b", "5-6 1 read", "7-8 1 call 3",
                                 "8-100 1 write", "5-100 0 a"});
}

TEST_CASE("spans nest and do not overlap, whatever comes") {
    std::vector<span> found;
    context_stack stack;
    static constexpr std::string_view names[] = {"nmi_entry", "nmi_exit",     "trap_entry",
                                                 "trap_exit", "sched_switch", "sys_x",
                                                 "other",     "exit_syscall"};
    unsigned seed = 1;
    const auto random = [&](unsigned below) {
        seed = seed * 1664525 + 1013904223;
        return (seed >> 16) % below;
    };
    for (std::uint64_t time = 0; time < 20000; ++time) {
        const unsigned depth = random(5);
        const auto inside = depth == 0 ? context::thread : static_cast<context>(1 + random(6));
        stack.add({time,
                   names[random(8)],
                   {inside, static_cast<std::uint8_t>(depth)},
                   "",
                   random(3),
                   random(3)},
                  found);
    }
    stack.finish(20000, found);
    CHECK(found.size() > 10000);
    // Inner ones end first: so what came before and begins later must lie on rows above.
    std::vector<std::uint64_t> free_from;
    std::size_t bad = 0;
    for (const span& one : found) {
        free_from.resize(std::max<std::size_t>(free_from.size(), one.row + 1));
        bad += one.begin < free_from[one.row];
        for (std::size_t row = one.row; row < free_from.size(); ++row) {
            bad += free_from[row] > one.end;
        }
        free_from[one.row] = one.end;
    }
    CHECK(bad == 0);
}

TEST_CASE("vectors have the manual's names") {
    CHECK(vector_name(14) == "#PF");
    CHECK(vector_name(3) == "#BP");
    CHECK(vector_name(15) == "vector 15");
    CHECK(vector_name(32) == "vector 32");
}

} // namespace
} // namespace nmisafe::tool
