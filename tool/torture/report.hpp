// SPDX-License-Identifier: MIT
// What a sweep has come to, and how it is told: a table, report.json, a page, and JUnit's XML.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tool/torture/names.hpp"
#include "tool/torture/verdict.hpp"

namespace nmisafe::tool::torture {

struct judged_boundary {
    boundary what;
    judgement came_to;
    bool confirmed = false;  // a second run has shown it too, and the details are that one's
    std::string repeat = {}; // the one command that does it alone again; of anomalies
};

struct sweep_report {
    std::string path, raised;
    bool by_fork = false;
    unsigned width = 64; // of the guest
    bool pairs = false;
    std::vector<std::uint64_t> walked; // the undisturbed path
    std::map<std::uint64_t, std::string> disassembly;
    std::vector<judged_boundary> boundaries; // in the order of steps
    std::vector<std::uint64_t> missing;      // addresses of the path at which nothing was raised
    std::string error;                       // why it is not all; empty if it is
    double seconds = 0, cpu_seconds = 0;
    std::uint64_t instructions_of_others = 0; // other CPUs', in all passes

    std::map<verdict, std::uint64_t> verdicts() const;
};

struct torture_report {
    std::string kernel, emulator, arch, command;
    bool interrupted = false;
    std::vector<verdict> allowed;
    std::vector<sweep_report> sweeps;

    bool is_finding(const judged_boundary& of) const;
    std::uint64_t findings(const sweep_report& of) const;
};

// Of the boundaries' pages and code, by Zydis. Bytes that are none stay without text.
std::map<std::uint64_t, std::string>
disassemble(const std::map<std::uint64_t, std::vector<std::uint8_t>>& code, unsigned width);

std::string table_text(const torture_report& report);
// The anomalies of a sweep, one line each, at most so many.
std::string anomalies_text(const torture_report& report, const names& known, std::size_t most);
std::string report_json(const torture_report& report, const names& known);
std::string report_page(const torture_report& report, const names& known);
std::string junit_xml(const torture_report& report, const names& known);

} // namespace nmisafe::tool::torture
