// SPDX-License-Identifier: MIT
#include "bench/return_summary.hpp"

#include <fmt/format.h>
#include <ostream>

namespace nmisafe::bench {

namespace {

struct goal {
    const char* name;
    double most; ///< of the reference's raw median
    const char* reference;
    const char* control; ///< must miss the goal, or the run says nothing
};
constexpr goal goals[] = {
    {"near", 0.40, "iretq", "iretq-again"},
    {"far", 0.75, "iretq", "iretq-again"},
    {"near/callers", 0.70, "iretq/callers", "near-unbalanced/callers"},
};

std::optional<double> find(const medians& found, const std::string& name) {
    const auto position = found.find(name);
    if (position == found.end())
        return std::nullopt;
    return position->second;
}

std::string number(const std::optional<double>& value, int digits) {
    return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

std::optional<double> difference(std::optional<double> a, std::optional<double> b) {
    return a && b ? std::optional{*a - *b} : std::nullopt;
}

std::optional<double> quotient(std::optional<double> a, std::optional<double> b) {
    return a && b && *b > 0 ? std::optional{*a / *b} : std::nullopt;
}

} // namespace

bool median_reporter::ReportContext(const Context& context) {
    return !verbose_ || ConsoleReporter::ReportContext(context);
}

void median_reporter::ReportRuns(const std::vector<Run>& runs) {
    for (const Run& run : runs) {
        if (run.run_type == Run::RT_Aggregate && run.aggregate_name == "median")
            found_[run.run_name.function_name] = run.GetAdjustedCPUTime();
    }
    if (verbose_)
        ConsoleReporter::ReportRuns(runs);
}

std::optional<double> raw_ratio(const medians& found, const std::string& name,
                                const std::string& against) {
    return quotient(find(found, name), find(found, against));
}

void print_table(std::ostream& out, const medians& found) {
    const auto row = [&out](auto... columns) {
        out << fmt::format("{:<24} {:>10} {:>10} {:>10} {:>10}\n", columns...);
    };
    row("one round, median", "ns", "net ns", "raw ratio", "net ratio");
    for (const std::string setting : {"", "/other-stack", "/callers"}) {
        const auto baseline = find(found, "baseline" + setting);
        const auto iretq = find(found, "iretq" + setting);
        for (const std::string form :
             {"baseline", "near", "near-unbalanced", "far", "iretq", "iretq-again"}) {
            const auto raw = find(found, form + setting);
            if (!raw)
                continue;
            const auto net = difference(raw, baseline);
            row(form + setting, number(raw, 2), number(net, 2), number(quotient(raw, iretq), 3),
                number(quotient(net, difference(iretq, baseline)), 3));
        }
    }
    out << "net: less the baseline of the same setting; ratio: to iretq of the same setting\n";
}

verdict judge(std::ostream& out, const medians& found) {
    verdict result = verdict::met;
    for (const auto& [name, most, reference, control] : goals) {
        const auto ratio = raw_ratio(found, name, reference);
        const auto control_ratio = raw_ratio(found, control, reference);
        if (!ratio || !control_ratio) {
            out << fmt::format("{}: not measured\n", name);
            return verdict::not_measured;
        }
        const bool met = *ratio <= most;
        const bool control_missed = *control_ratio > most;
        out << fmt::format(
            "{}: {:.3f} of {}, goal {:.2f} (raw medians): {}; control {} {:.3f}: {}\n", name,
            *ratio, reference, most, met ? "met" : "missed", control, *control_ratio,
            control_missed ? "misses it" : "FAILED, meets it");
        if (!control_missed)
            result = verdict::control_failed;
        else if (!met && result == verdict::met)
            result = verdict::missed;
    }
    return result;
}

} // namespace nmisafe::bench
