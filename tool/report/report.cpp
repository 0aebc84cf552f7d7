// SPDX-License-Identifier: MIT
#include "tool/report/report.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>

namespace nmisafe::tool {

namespace {

using nlohmann::ordered_json;

bool is_counter(std::string_view name) {
    return std::find(std::begin(row_counters), std::end(row_counters), name) !=
           std::end(row_counters);
}

ordered_json addresses_json(const std::vector<std::uint64_t>& addresses) {
    ordered_json list = ordered_json::array();
    for (std::uint64_t address : addresses) {
        list.push_back(fmt::format("{:#x}", address));
    }
    return list;
}

ordered_json coverage_json(const coverage& covered) {
    return {{"how", covered.how},
            {"instructions", covered.instructions},
            {"hit", covered.hit},
            {"missing", addresses_json(covered.missing)},
            {"unreachable", addresses_json(covered.unreachable)}};
}

ordered_json row_json(const report_row& row) {
    const judged_row& judged = row.judged;
    const catalogue_entry& entry = *judged.run.entry;
    ordered_json json = {
        {"experiment", entry.experiment},
        {"path", judged.row.path},
        {"arch", judged.run.arch},
        {"emulator", row.emulator},
        {"policy", judged.run.policy},
        {"without", entry.without.empty() ? "none" : entry.without},
    };
    for (std::string_view counter : row_counters) {
        json[std::string(counter)] = judged.row.number(counter).value_or(0);
    }
    json["expected"] = to_string(entry.expected);
    json["passed"] = judged.passed;
    json["reason"] = judged.reason;
    json["said"] = judged.said;
    json["log"] = row.log;
    json["extras"] = ordered_json::object();
    for (const auto& [name, value] : judged.row.numbers) {
        if (!is_counter(name)) {
            json["extras"][name] = value;
        }
    }
    if (judged.covered) {
        json["coverage"] = coverage_json(*judged.covered);
    }
    return json;
}

// Rounded up: an instruction more for all of them is an instruction more.
std::uint64_t per_item(const cost& measured) {
    return (measured.instructions + measured.items - 1) / measured.items;
}

ordered_json cost_json(const cost& measured) {
    return {
        {"name", measured.name},         {"arch", measured.arch},
        {"policy", measured.policy},     {"instructions", measured.instructions},
        {"smallest", measured.smallest}, {"occurrences", measured.occurrences},
        {"items", measured.items},       {"per_item", per_item(measured)},
    };
}

using table = std::vector<std::vector<std::string>>;

// The first row is the head. A column of numbers is set to the right.
std::string format_table(const table& rows) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    std::vector<bool> numeric(widths.size(), true);
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (std::size_t c = 0; c < widths.size(); ++c) {
            widths[c] = std::max(widths[c], rows[r][c].size());
            const bool digits = rows[r][c].find_first_not_of("0123456789") == std::string::npos;
            numeric[c] = numeric[c] && (r == 0 || digits);
        }
    }
    std::string text;
    for (const std::vector<std::string>& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < widths.size(); ++c) {
            line +=
                fmt::format(fmt::runtime(numeric[c] ? "{:>{}}  " : "{:<{}}  "), row[c], widths[c]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

std::string result_table(const std::vector<report_row>& rows) {
    table cells = {{"experiment", "path", "arch", "policy", "without", "boundaries", "raised",
                    "handled", "nested", "lost", "corrupted", "irets", "expected", "verdict"}};
    for (const report_row& row : rows) {
        const judged_row& judged = row.judged;
        const catalogue_entry& entry = *judged.run.entry;
        auto& line = cells.emplace_back();
        line = {std::string(entry.experiment), judged.row.path.empty() ? "-" : judged.row.path,
                std::string(judged.run.arch), std::string(judged.run.policy),
                entry.without.empty() ? "-" : std::string(entry.without)};
        for (std::string_view counter : {"boundaries", "nmis_raised", "nmis_handled", "nested",
                                         "lost", "corrupted", "unsafe_irets"}) {
            line.push_back(std::to_string(judged.row.number(counter).value_or(0)));
        }
        line.emplace_back(to_string(entry.expected));
        line.emplace_back(judged.passed ? "passed" : "FAILED");
    }
    return format_table(cells);
}

std::string cost_table(const std::vector<cost>& costs) {
    table cells = {
        {"cost", "arch", "policy", "instructions", "smallest", "occurrences", "items", "per item"}};
    for (const cost& measured : costs) {
        cells.push_back({measured.name, measured.arch, measured.policy,
                         std::to_string(measured.instructions), std::to_string(measured.smallest),
                         std::to_string(measured.occurrences), std::to_string(measured.items),
                         std::to_string(per_item(measured))});
    }
    return format_table(cells);
}

} // namespace

std::string report_json(const report& finished) {
    ordered_json json = {
        {"schema", 1}, {"rows", ordered_json::array()}, {"costs", ordered_json::array()}};
    for (const report_row& row : finished.rows) {
        json["rows"].push_back(row_json(row));
    }
    for (const cost& measured : finished.costs) {
        json["costs"].push_back(cost_json(measured));
    }
    // A reason may quote bytes of a log that are no text.
    return json.dump(2, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

std::size_t failed_rows(const report& finished) {
    return static_cast<std::size_t>(
        std::count_if(finished.rows.begin(), finished.rows.end(),
                      [](const report_row& row) { return !row.judged.passed; }));
}

std::string tables_text(const report& finished) {
    const std::string costs = finished.costs.empty() ? "" : '\n' + cost_table(finished.costs);
    return result_table(finished.rows) + costs;
}

std::string verdict_text(const report& finished) {
    constexpr std::size_t most_said = 20; // the log has all
    const std::size_t failed = failed_rows(finished);
    std::string text = failed > 0 ? "failed:\n" : "";
    for (const report_row& row : finished.rows) {
        const judged_row& judged = row.judged;
        if (judged.passed) {
            continue;
        }
        text += fmt::format("  {}{}{}: {} (log: {})\n", judged.run.name(),
                            judged.row.path.empty() ? "" : " ", judged.row.path, judged.reason,
                            row.log);
        for (std::size_t i = 0; i < std::min(judged.said.size(), most_said); ++i) {
            text += fmt::format("      said: {}\n", printable(judged.said[i]));
        }
        if (judged.said.size() > most_said) {
            text += fmt::format("      and {} more\n", judged.said.size() - most_said);
        }
    }
    return text + fmt::format("{}{} rows, {} passed, {} failed\n", failed > 0 ? "\n" : "",
                              finished.rows.size(), finished.rows.size() - failed, failed);
}

} // namespace nmisafe::tool
