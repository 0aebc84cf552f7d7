// SPDX-License-Identifier: MIT
#include "tool/torture/verdict.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nmisafe::tool::torture {

namespace {

struct verdict_text {
    verdict which;
    std::string_view name;
    std::string_view meaning;
};

constexpr verdict_text texts[verdict_count] = {
    {verdict::same, "same", "the event was handled once, at once, and everything is as without it"},
    {verdict::reset, "reset", "the machine was reset, or the guest ended it"},
    {verdict::double_fault, "double-fault", "the handler of #DF was entered"},
    {verdict::hang, "hang", "the path came to no end, or was never taken again"},
    {verdict::crash, "crash", "the emulator itself died"},
    {verdict::lost, "lost", "the event was raised and never entered its handler"},
    {verdict::blocked, "blocked", "NMIs were still blocked when the path had ended"},
    {verdict::late, "late", "nothing blocked the event, and it came later than at once"},
    {verdict::overwritten, "overwritten",
     "the handler was entered again while it was open, on the same frame"},
    {verdict::entered_again, "entered-again", "the handler was entered again while it was open"},
    {verdict::registers, "registers", "registers are not what they are without the event"},
    {verdict::memory, "memory", "memory is not what it is without the event"},
    {verdict::emulator_only, "emulator-only",
     "behind a load of SS: a CPU would have held the event back for one instruction"},
    {verdict::noise, "noise", "a second run from the same start did not show it"},
};

std::string registers_text(const boundary& of) {
    std::string text;
    for (const auto& [name, values] : of.registers) {
        text += fmt::format("{}{} is {:#x}, not {:#x}", text.empty() ? "" : ", ", name,
                            values.second, values.first);
    }
    return text;
}

std::string end_text(const boundary& of) {
    if (of.end == "limit") {
        return fmt::format("the path had no end within {} instructions", of.steps);
    }
    if (of.end == "halted") {
        return "the CPU halted for ever";
    }
    if (of.end == "timeout") {
        return "time ran out";
    }
    return of.end == "lost-path" ? "the path was never taken again" : "it ended with " + of.end;
}

} // namespace

std::string_view to_string(verdict which) {
    return texts[static_cast<unsigned>(which)].name;
}

std::optional<verdict> verdict_named(std::string_view name) {
    const auto found = std::find_if(std::begin(texts), std::end(texts),
                                    [name](const verdict_text& one) { return one.name == name; });
    return found == std::end(texts) ? std::nullopt : std::optional(found->which);
}

std::string_view meaning(verdict which) {
    return texts[static_cast<unsigned>(which)].meaning;
}

judgement judge(const boundary& of, const std::vector<verdict>& allowed) {
    std::vector<judgement> held;
    const auto hold = [&held](bool condition, verdict which, std::string why) {
        if (condition) {
            held.push_back({which, std::move(why)});
        }
    };
    const bool has_ended = of.end == "end";
    hold(of.end == "reset", verdict::reset,
         "the machine was reset: a triple fault, or the guest asked for it");
    hold(of.end == "exit", verdict::reset,
         fmt::format("the guest ended the emulator, status {}", of.status));
    hold(of.has_double_faulted, verdict::double_fault, "the handler of #DF was entered");
    // How the first nested entry went is known even where the path has come to no end.
    const bool is_wreck = !has_ended && of.end != "reset" && of.end != "exit" && of.end != "crash";
    hold(is_wreck, verdict::hang, end_text(of));
    hold(of.end == "crash", verdict::crash,
         fmt::format("the emulator died of signal {}", of.status));
    const bool is_blocked = has_ended && of.ended_blocked && !of.begun_blocked;
    // Raised where it was blocked, from the path's beginning to its end: it waits still.
    const bool is_waiting = of.blocked && of.begun_blocked && of.ended_blocked;
    const bool is_lost = has_ended && of.entries_since == 0 && !is_waiting;
    hold(is_lost && !is_blocked, verdict::lost,
         fmt::format("raised {} times in all, entered {} times", of.raised, of.entries));
    hold(is_blocked, verdict::blocked,
         "NMIs are blocked at the path's end, and were not at its beginning");
    hold(of.entries_since != 0 && !of.blocked && of.latency != 0, verdict::late,
         fmt::format("{} instructions later, though nothing blocked it", of.latency));
    const std::string nested =
        fmt::format("entered {} times for {} raised, {} of them while it was open", of.entries,
                    of.raised, of.nested);
    hold(of.overwritten != 0, verdict::overwritten,
         nested + ", on the frame of the one that was open");
    hold(of.nested != 0 && of.overwritten == 0, verdict::entered_again, nested);
    hold(has_ended && !of.registers.empty(), verdict::registers, registers_text(of));
    hold(!of.memory.empty(), verdict::memory,
         of.memory.empty() ? ""
                           : fmt::format("{} granules, the first at physical address {:#x}",
                                         of.memory.size(), of.memory.front()));
    if (held.empty()) {
        return {};
    }
    const auto counts = std::find_if(held.begin(), held.end(), [&allowed](const judgement& one) {
        return std::find(allowed.begin(), allowed.end(), one.what) == allowed.end();
    });
    judgement worst = counts == held.end() ? held.front() : *counts;
    for (const judgement& other : held) {
        if (other.what != worst.what) {
            worst.why += "; " + other.why;
        }
    }
    if (of.behind_sti) {
        worst.why += "; behind STI, where some CPUs hold an NMI back for one instruction";
    }
    if (of.shadow) {
        return {verdict::emulator_only, worst.why};
    }
    return worst;
}

} // namespace nmisafe::tool::torture
