// SPDX-License-Identifier: MIT
// Runs the guests, several at a time, and judges each.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tool/emulator/qemu.hpp"
#include "tool/report/progress.hpp"
#include "tool/report/report.hpp"

namespace nmisafe::tool {

struct runner_options {
    std::filesystem::path images;
    std::filesystem::path out;
    std::map<std::string, qemu, std::less<>> emulators; // by arch
    unsigned jobs = 1;
    bool keep_logs = false;
    unsigned timeout_seconds = 0;            // 0: the catalogue's
    std::vector<std::string> kernel_options; // for each guest's command line, behind its own
};

struct runner_result {
    report finished;          // rows in the order of `runs`
    bool interrupted = false; // by a signal: the guests were killed, the report is not whole
};

runner_result run_guests(const std::vector<guest_run>& runs, const runner_options& options,
                         progress& shown);

} // namespace nmisafe::tool
