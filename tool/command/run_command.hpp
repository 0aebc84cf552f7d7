// SPDX-License-Identifier: MIT
// `nmisafe run`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tool/catalogue/catalogue.hpp"

namespace nmisafe::tool {

struct run_options {
    selection wanted;
    std::filesystem::path images = "build/gcc/kernel";
    std::filesystem::path out = "out";
    unsigned jobs = 1;
    bool keep_logs = false;
    bool verbose = false;                    // every row, and all tables
    unsigned timeout_seconds = 0;            // 0: the catalogue's
    std::vector<std::string> kernel_options; // name=value
};

// The program's exit statuses.
inline constexpr int exit_all_passed = 0;
inline constexpr int exit_some_failed = 1;
// Bad options, no emulator, no image, no room for what is to be written: nothing was shown.
inline constexpr int exit_cannot_run = 2;
inline constexpr int exit_interrupted = 130;

int run_command(const run_options& options);

// One line on standard error; returns exit_cannot_run.
int refuse(const std::string& why);

} // namespace nmisafe::tool
