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

// Every row and every cost.
std::string tables_text(const report& finished);

// The failed rows with their reasons and what their guests said of it, and the line with the sums.
std::string verdict_text(const report& finished);

std::size_t failed_rows(const report& finished);

} // namespace nmisafe::tool
