// SPDX-License-Identifier: MIT
#include "tool/report/summary.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

std::string label_of(const guest_run& run) {
    return run.entry->without.empty() ? std::string(run.policy)
                                      : fmt::format("without {}", run.entry->without);
}

// Those that passed, or a dash.
template <typename Claims>
std::string list(const Claims& claims) {
    std::string text;
    for (const auto& claim : claims) {
        if (claim.passed) {
            text += (text.empty() ? "" : ", ") + claim.label;
        }
    }
    return text.empty() ? "-" : text;
}

} // namespace

summary::summary(const std::vector<guest_run>& runs) {
    for (const guest_run& run : runs) {
        group& found = group_of(run);
        ++found.guests;
        auto& claims = run.entry->expected == expectation::safe ? found.held : found.harm_shown;
        const std::string label = label_of(run);
        if (std::none_of(claims.begin(), claims.end(),
                         [&](const claim& other) { return other.label == label; })) {
            claims.push_back({label});
        }
        experiment_width_ = std::max(experiment_width_, run.entry->experiment.size());
        arch_width_ = std::max(arch_width_, run.arch.size());
        held_width_ = std::max(held_width_, list(found.held).size());
    }
}

summary::group& summary::group_of(const guest_run& run) {
    const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const group& other) {
        return other.experiment == run.entry->experiment && other.arch == run.arch;
    });
    if (found != groups_.end()) {
        return *found;
    }
    groups_.push_back({.experiment = run.entry->experiment, .arch = run.arch});
    return groups_.back();
}

std::string summary::add(const guest_run& run, const std::vector<judged_row>& rows,
                         double seconds) {
    group& found = group_of(run);
    const bool safe = run.entry->expected == expectation::safe;
    auto& claims = safe ? found.held : found.harm_shown;
    const auto own = std::find_if(claims.begin(), claims.end(),
                                  [&](const claim& other) { return other.label == label_of(run); });
    for (const judged_row& row : rows) {
        own->passed = own->passed && row.passed;
        found.passed = found.passed && row.passed;
        found.boundaries += safe ? row.row.number("boundaries").value_or(0) : 0;
    }
    found.seconds += seconds;
    --found.guests;
    return found.guests == 0 ? line(found) : std::string();
}

std::string summary::head() const {
    return line("experiment", "arch", "boundaries", "seconds", "verdict", "held", "harm shown by");
}

std::string summary::text() const {
    std::string text = head();
    for (const group& each : groups_) {
        text += line(each);
    }
    return text;
}

std::string summary::line(const group& finished) const {
    return line(finished.experiment, finished.arch, std::to_string(finished.boundaries),
                fmt::format("{:.1f}", finished.seconds), finished.passed ? "passed" : "FAILED",
                list(finished.held), list(finished.harm_shown));
}

std::string summary::line(std::string_view experiment, std::string_view arch,
                          std::string_view boundaries, std::string_view seconds,
                          std::string_view verdict, std::string_view held,
                          std::string_view harm_shown) const {
    return fmt::format("{:<{}}  {:<{}}  {:>10}  {:>7}  {:<7}  {:<{}}  {}\n", experiment,
                       experiment_width_, arch, arch_width_, boundaries, seconds, verdict, held,
                       held_width_, harm_shown);
}

} // namespace nmisafe::tool
