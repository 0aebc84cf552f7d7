// SPDX-License-Identifier: MIT
#include "bench/medians.hpp"

#include <fmt/format.h>

namespace nmisafe::bench {

bool median_reporter::ReportContext(const Context& context) {
    return !verbose_ || ConsoleReporter::ReportContext(context);
}

void median_reporter::ReportRuns(const std::vector<Run>& runs) {
    for (const Run& run : runs) {
        const bool times_itself = run.run_name.time_type == "manual_time";
        const bool is_deviation = run.aggregate_name == "stddev";
        if (run.run_type == Run::RT_Aggregate && (is_deviation || run.aggregate_name == "median"))
            (is_deviation ? deviations_ : found_)[run.run_name.function_name] =
                times_itself ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime();
    }
    if (verbose_)
        ConsoleReporter::ReportRuns(runs);
}

std::optional<double> find(const medians& found, const std::string& name) {
    const auto position = found.find(name);
    if (position == found.end())
        return std::nullopt;
    return position->second;
}

std::optional<double> difference(std::optional<double> a, std::optional<double> b) {
    return a && b ? std::optional{*a - *b} : std::nullopt;
}

std::optional<double> quotient(std::optional<double> a, std::optional<double> b) {
    return a && b && *b > 0 ? std::optional{*a / *b} : std::nullopt;
}

std::string number(const std::optional<double>& value, int digits) {
    return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

} // namespace nmisafe::bench
