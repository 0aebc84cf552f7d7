// SPDX-License-Identifier: MIT
#include "tool/torture/report.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace nmisafe::tool::torture {

namespace {

using nlohmann::ordered_json;

std::string hex(std::uint64_t value) {
    return fmt::format("{:#x}", value);
}

std::string instruction_at(const sweep_report& sweep, std::uint64_t pc) {
    const auto found = sweep.disassembly.find(pc);
    return found == sweep.disassembly.end() ? std::string() : found->second;
}

double rate(std::size_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::uint64_t longest_latency(const sweep_report& sweep) {
    std::uint64_t longest = 0;
    for (const judged_boundary& one : sweep.boundaries) {
        longest = std::max(longest, one.what.blocked ? 0 : one.what.latency);
    }
    return longest;
}

ordered_json entry_json(const entry_seen& entry) {
    ordered_json json = {{"ip", hex(entry.ip)},
                         {"sp", hex(entry.sp)},
                         {"frame", hex(entry.frame)},
                         {"nested", entry.nested},
                         {"overwritten", entry.overwritten},
                         {"stack", ordered_json::array()}};
    for (const std::uint64_t word : entry.stack) {
        json["stack"].push_back(hex(word));
    }
    return json;
}

ordered_json anomaly_json(const sweep_report& sweep, const judged_boundary& one,
                          const names& known) {
    ordered_json json = {{"step", one.what.step},
                         {"pc", hex(one.what.pc)},
                         {"occurrence", one.what.occurrence},
                         {"symbol", known.name(one.what.pc)},
                         {"instruction", instruction_at(sweep, one.what.pc)},
                         {"verdict", to_string(one.came_to.what)},
                         {"why", one.came_to.why},
                         {"confirmed", one.confirmed}};
    if (one.what.second) {
        json["second"] = *one.what.second;
    }
    json["registers"] = ordered_json::object();
    for (const auto& [name, values] : one.what.registers) {
        json["registers"][name] = {hex(values.first), hex(values.second)};
    }
    json["at"] = ordered_json::object();
    for (const auto& [name, value] : one.what.at) {
        json["at"][name] = hex(value);
    }
    json["entries"] = ordered_json::array();
    for (const entry_seen& entry : one.what.seen) {
        json["entries"].push_back(entry_json(entry));
    }
    json["repeat"] = one.repeat;
    return json;
}

ordered_json sweep_json(const torture_report& report, const sweep_report& sweep,
                        const names& known) {
    const std::set<std::uint64_t> addresses(sweep.walked.begin(), sweep.walked.end());
    std::uint64_t entries = 0;
    ordered_json missing = ordered_json::array(), verdicts = ordered_json::object();
    ordered_json anomalies = ordered_json::array(), trace = ordered_json::array();
    for (const std::uint64_t address : sweep.missing) {
        missing.push_back(hex(address));
    }
    for (const auto& [which, count] : sweep.verdicts()) {
        verdicts[std::string(to_string(which))] = count;
    }
    for (const judged_boundary& one : sweep.boundaries) {
        entries += one.what.entries_since;
        ordered_json line = {{"step", one.what.step},
                             {"pc", hex(one.what.pc)},
                             {"verdict", to_string(one.came_to.what)},
                             {"entries", one.what.entries},
                             {"latency", one.what.latency}};
        if (one.what.second) {
            line["second"] = *one.what.second;
        }
        trace.push_back(std::move(line));
        if (one.came_to.what != verdict::same) {
            anomalies.push_back(anomaly_json(sweep, one, known));
        }
    }
    return {{"path", sweep.path},
            {"raise", sweep.raised},
            {"mode", sweep.by_fork ? "fork"
                     : sweep.pairs ? "pairs"
                                   : "loop"},
            {"begin", sweep.walked.empty() ? "" : hex(sweep.walked.front())},
            {"begin_symbol", sweep.walked.empty() ? "" : known.name(sweep.walked.front())},
            {"steps", sweep.walked.size()},
            {"addresses", addresses.size()},
            {"addresses_hit", addresses.size() - sweep.missing.size()},
            {"missing", missing},
            {"boundaries", sweep.boundaries.size()},
            {"seconds", sweep.seconds},
            {"cpu_seconds", sweep.cpu_seconds},
            {"instructions_of_others", sweep.instructions_of_others},
            {"per_second", rate(sweep.boundaries.size(), sweep.seconds)},
            {"per_cpu_second", rate(sweep.boundaries.size(), sweep.cpu_seconds)},
            {"verdicts", verdicts},
            {"findings", report.findings(sweep)},
            {"error", sweep.error},
            {"entries", entries},
            {"longest_latency", longest_latency(sweep)},
            {"anomalies", anomalies},
            {"trace", trace}};
}

} // namespace

std::map<verdict, std::uint64_t> sweep_report::verdicts() const {
    std::map<verdict, std::uint64_t> counts;
    for (const judged_boundary& one : boundaries) {
        ++counts[one.came_to.what];
    }
    return counts;
}

bool torture_report::is_finding(const judged_boundary& of) const {
    const verdict which = of.came_to.what;
    return which != verdict::same && which != verdict::emulator_only && which != verdict::noise &&
           std::find(allowed.begin(), allowed.end(), which) == allowed.end();
}

std::uint64_t torture_report::findings(const sweep_report& of) const {
    return static_cast<std::uint64_t>(
        std::count_if(of.boundaries.begin(), of.boundaries.end(),
                      [this](const judged_boundary& one) { return is_finding(one); }));
}

std::map<std::uint64_t, std::string>
disassemble(const std::map<std::uint64_t, std::vector<std::uint8_t>>& code, unsigned width) {
    std::map<std::uint64_t, std::string> text;
    for (const auto& [pc, bytes] : code) {
        ZydisDisassembledInstruction instruction;
        if (ZYAN_SUCCESS(ZydisDisassembleATT(width == 64 ? ZYDIS_MACHINE_MODE_LONG_64
                                                         : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             pc, bytes.data(), bytes.size(), &instruction))) {
            text[pc] = instruction.text;
        }
    }
    return text;
}

std::string table_text(const torture_report& report) {
    std::string text = fmt::format("{:<22} {:<8} {:>6} {:>10} {:>9} {:>8}  {}\n", "path", "raised",
                                   "steps", "boundaries", "per CPU s", "findings", "verdicts");
    for (const sweep_report& sweep : report.sweeps) {
        std::string verdicts;
        for (const auto& [which, count] : sweep.verdicts()) {
            verdicts +=
                fmt::format("{}{} {}", verdicts.empty() ? "" : ", ", count, to_string(which));
        }
        text += fmt::format("{:<22} {:<8} {:>6} {:>10} {:>9.0f} {:>8}  {}\n", sweep.path,
                            sweep.raised, sweep.walked.size(), sweep.boundaries.size(),
                            rate(sweep.boundaries.size(), sweep.cpu_seconds),
                            report.findings(sweep), verdicts);
        if (!sweep.missing.empty()) {
            text += fmt::format("  {} addresses of the path were not hit\n", sweep.missing.size());
        }
        if (!sweep.error.empty()) {
            text += "  not complete: " + sweep.error + "\n";
        }
    }
    return text;
}

std::string anomalies_text(const torture_report& report, const names& known, std::size_t most) {
    std::string text;
    std::size_t shown = 0, all = 0;
    for (const sweep_report& sweep : report.sweeps) {
        for (const judged_boundary& one : sweep.boundaries) {
            if (!report.is_finding(one) || ++all > most) {
                continue;
            }
            ++shown;
            text += fmt::format("{}: {} before {} ({}), step {}: {}\n    {}\n", sweep.path,
                                to_string(one.came_to.what), known.name(one.what.pc),
                                instruction_at(sweep, one.what.pc), one.what.step, one.came_to.why,
                                one.repeat);
        }
    }
    if (all > shown) {
        text += fmt::format("and {} more: they are in the report\n", all - shown);
    }
    return text;
}

std::string report_json(const torture_report& report, const names& known) {
    ordered_json json = {{"schema", 1},
                         {"tool", "nmisafe torture"},
                         {"kernel", report.kernel},
                         {"emulator", report.emulator},
                         {"arch", report.arch},
                         {"command", report.command},
                         {"interrupted", report.interrupted},
                         {"allowed", ordered_json::array()},
                         {"sweeps", ordered_json::array()}};
    for (const verdict which : report.allowed) {
        json["allowed"].push_back(to_string(which));
    }
    for (const sweep_report& sweep : report.sweeps) {
        json["sweeps"].push_back(sweep_json(report, sweep, known));
    }
    // What comes from a guest may be no text at all.
    return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

} // namespace nmisafe::tool::torture
