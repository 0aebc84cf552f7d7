// SPDX-License-Identifier: MIT
// The medians of a run, and arithmetic on what may not have been measured.
#pragma once

#include <benchmark/benchmark.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nmisafe::bench {

/// Benchmark name: median of what one iteration took, in nanoseconds.
using medians = std::map<std::string, double>;

/// Takes the medians out of what Google Benchmark reports, and passes everything on if told to.
/// Of a benchmark that times itself that is its own time, of the others CPU time.
class median_reporter : public benchmark::ConsoleReporter {
  public:
    explicit median_reporter(bool verbose) : ConsoleReporter{OO_Tabular}, verbose_{verbose} {}
    bool ReportContext(const Context& context) override;
    void ReportRuns(const std::vector<Run>& runs) override;
    const medians& found() const { return found_; }
    /// The standard deviations of the same.
    const medians& deviations() const { return deviations_; }

  private:
    bool verbose_;
    medians found_;
    medians deviations_;
};

/// None if that was not measured.
std::optional<double> find(const medians& found, const std::string& name);

std::optional<double> difference(std::optional<double> a, std::optional<double> b);
std::optional<double> quotient(std::optional<double> a, std::optional<double> b);

/// For a table: "-" if there is none.
std::string number(const std::optional<double>& value, int digits);

} // namespace nmisafe::bench
