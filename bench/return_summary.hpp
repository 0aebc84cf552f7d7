// SPDX-License-Identifier: MIT
// The medians of a run, the table made of them, and whether the goals are met.
#pragma once

#include <benchmark/benchmark.h>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nmisafe::bench {

/// Benchmark name: median CPU time of one round in nanoseconds, the baseline included.
using medians = std::map<std::string, double>;

/// Takes the medians out of what Google Benchmark reports, and passes everything on if told to.
class median_reporter : public benchmark::ConsoleReporter {
  public:
    explicit median_reporter(bool verbose) : ConsoleReporter{OO_Tabular}, verbose_{verbose} {}
    bool ReportContext(const Context& context) override;
    void ReportRuns(const std::vector<Run>& runs) override;
    const medians& found() const { return found_; }

  private:
    bool verbose_;
    medians found_;
};

/// Ratio of two raw medians, nothing subtracted; none when one of them was not measured.
std::optional<double> raw_ratio(const medians& found, const std::string& name,
                                const std::string& reference);

/// Prints per setting: median, median less the setting's baseline, and both against iretq.
void print_table(std::ostream& out, const medians& found);

enum class verdict {
    met,
    missed,
    control_failed, ///< A goal's control meets it: this run says nothing.
    not_measured,   ///< A benchmark is missing.
};

/// Holds the raw ratios against the goals, and says on `out` what was found.
verdict judge(std::ostream& out, const medians& found);

} // namespace nmisafe::bench
