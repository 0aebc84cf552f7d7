// SPDX-License-Identifier: MIT
// out/report.json (schema: tool/README.md) and the tables of the terminal.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tool/evidence/verdict.hpp"

namespace nmisafe::tool {

// A judged row with what only the runner knows.
struct report_row {
    judged_row judged;
    std::string emulator;
    std::string log; // the console log's file
};

struct report {
    std::vector<report_row> rows;
    std::vector<cost> costs;
};

std::string report_json(const report& finished);

// Written beside its place and renamed, so a report is whole or absent. Why that failed, or empty.
std::string write_report(const std::filesystem::path& file, const report& finished);

// The result table, the reasons of failed rows, the costs, and the line with the sums.
std::string report_text(const report& finished);

std::size_t failed_rows(const report& finished);

} // namespace nmisafe::tool
