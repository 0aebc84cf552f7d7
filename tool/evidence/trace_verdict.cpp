// SPDX-License-Identifier: MIT
#include "tool/evidence/trace_verdict.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace nmisafe::tool {

namespace {

bool delivered_at_once(const console_row& row) {
    return row.number("delivered").value_or(0) != 0;
}

coverage compare(std::string_view how, const std::set<std::uint64_t>& needed,
                 const std::set<std::uint64_t>& seen) {
    coverage result;
    result.how = how;
    result.instructions = needed.size();
    std::set_difference(needed.begin(), needed.end(), seen.begin(), seen.end(),
                        std::back_inserter(result.missing));
    result.hit = result.instructions - result.missing.size();
    return result;
}

std::string describe_missing(const coverage& covered) {
    if (covered.instructions == 0) {
        return "the window holds no instruction to cover";
    }
    if (covered.missing.empty()) {
        return {};
    }
    std::string reason = fmt::format("no NMI {} before {} of {} instructions:", covered.how,
                                     covered.missing.size(), covered.instructions);
    for (std::size_t i = 0; i < std::min<std::size_t>(covered.missing.size(), 4); ++i) {
        reason += fmt::format(" {:#x}", covered.missing[i]);
    }
    return reason + (covered.missing.size() > 4 ? " ..." : "");
}

// A sweep makes more injections than there are boundaries; what counts is the boundaries.
void count_boundaries(judged_row& judged) {
    for (auto& [name, value] : judged.row.numbers) {
        if (name == "boundaries") {
            const std::uint64_t injections = value;
            value = judged.covered->hit;
            judged.row.numbers.emplace_back("injections", injections);
            return;
        }
    }
}

std::string difference(const console_row& normal, const console_row& logged) {
    if (normal.path != logged.path) {
        return fmt::format("path {} instead of {}", logged.path, normal.path);
    }
    for (const auto& [name, value] : normal.numbers) {
        const std::optional<std::uint64_t> other = logged.number(name);
        if (other != value) {
            return fmt::format("{}{}{} is {} instead of {}", normal.path,
                               normal.path.empty() ? "" : " ", name,
                               other ? std::to_string(*other) : "missing", value);
        }
    }
    return normal.numbers.size() == logged.numbers.size() ? std::string() : "more numbers";
}

std::string difference(const std::vector<console_row>& normal,
                       const std::vector<console_row>& logged) {
    if (normal.size() != logged.size()) {
        return fmt::format("{} rows instead of {}", logged.size(), normal.size());
    }
    for (std::size_t i = 0; i < normal.size(); ++i) {
        if (std::string found = difference(normal[i], logged[i]); !found.empty()) {
            return found;
        }
    }
    return {};
}

} // namespace

std::string trace_failure(const guest_run& run, const console_content& console,
                          const trace_outcome& trace) {
    std::string reason = end_failure(run, trace.guest);
    reason = reason.empty() ? trace.error : reason;
    if (!reason.empty()) {
        return "trace run: " + reason;
    }
    if (!trace.analysis || trace.analysis->instructions() == 0) {
        return "trace run: the execution log is empty";
    }
    if (trace.analysis->windows().empty() && trace.analysis->measures().empty()) {
        return "trace run: neither @window nor @measure";
    }
    for (const auto& [path, window] : trace.analysis->windows()) {
        if (window.times_complete == 0) {
            return fmt::format("trace run: window {} was not walked from begin to end", path);
        }
    }
    for (const measure_trace& measure : trace.analysis->measures()) {
        if (measure.occurrences == 0) {
            return fmt::format("trace run: measure {} was not seen from its from to its to",
                               measure.name);
        }
    }
    if (!trace.analysis->windows().empty() &&
        std::none_of(console.rows.begin(), console.rows.end(), delivered_at_once)) {
        return "no path was marked delivered=1, so no saved RIP shows coverage";
    }
    return {};
}

std::map<std::string, pended_window> pended_windows(const console_content& console,
                                                    const trace_outcome& trace) {
    std::map<std::string, pended_window> windows;
    for (const console_row& row : console.rows) {
        const auto range = trace.guest.console.windows.find(row.path);
        if (!delivered_at_once(row) && range != trace.guest.console.windows.end()) {
            windows[row.path] = {range->second, trace.analysis->windows().at(row.path)};
        }
    }
    return windows;
}

std::string raises_failure(const guest_run& run, const console_content& console,
                           const raises_outcome& raises) {
    std::string reason = end_failure(run, raises.guest);
    reason = reason.empty() ? raises.error : reason;
    if (!reason.empty()) {
        return "raises run: " + reason;
    }
    if (!raises.analysis || raises.analysis->raises() == 0) {
        return "raises run: no NMI in the execution log";
    }
    reason = difference(console.rows, raises.guest.console.rows);
    return reason.empty() ? reason : "the logged run differs from the normal one: " + reason;
}

std::string coverage_failure(const console_content& console, const trace_outcome& trace,
                             const raises_outcome* raises, judged_row& judged) {
    const auto& windows = trace.analysis->windows();
    if (windows.empty()) {
        return {};
    }
    const std::string& path = judged.row.path;
    const auto window = windows.find(path);
    if (window == windows.end()) {
        return fmt::format("trace run: no @window of path {}", path);
    }
    std::set<std::uint64_t> needed = window->second.instructions;
    const std::set<std::uint64_t> unreachable = entered_by_faults(window->second);
    for (std::uint64_t address : unreachable) {
        needed.erase(address);
    }
    const bool delivered = delivered_at_once(judged.row);
    if (delivered) {
        const auto rips = console.rips.find(path);
        judged.covered =
            compare("delivered", needed,
                    rips == console.rips.end() ? std::set<std::uint64_t>() : rips->second);
    } else {
        // An NMI raised before the begin itself would come before the window.
        needed.erase(trace.guest.console.windows.at(path).begin);
        judged.covered = compare("raised", needed, raises->analysis->boundaries().at(path));
    }
    judged.covered->unreachable.assign(unreachable.begin(), unreachable.end());
    count_boundaries(judged);
    // A control's harm is that NMIs are let in on the way. From there on they are not raised while
    // blocked, so a control cannot be complete.
    const bool may_lack = !delivered && judged.run.entry->expected == expectation::control;
    return may_lack ? std::string() : describe_missing(*judged.covered);
}

std::vector<cost> costs_of(const guest_run& run, const execution_analysis& analysis) {
    std::vector<cost> costs;
    for (const measure_trace& measure : analysis.measures()) {
        costs.push_back({measure.name, std::string(run.arch), std::string(run.policy),
                         measure.items, measure.largest, measure.smallest, measure.occurrences});
    }
    return costs;
}

} // namespace nmisafe::tool
