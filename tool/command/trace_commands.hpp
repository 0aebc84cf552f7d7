// SPDX-License-Identifier: MIT
// `nmisafe convert` and `nmisafe stats`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace nmisafe::tool {

struct convert_options {
    std::filesystem::path trace;
    std::string format;
    std::filesystem::path out; // empty: standard output
    std::filesystem::path kernel;
    std::vector<std::filesystem::path> symbols;
};

// Exit statuses as run_command()'s: 0; 1: something is wrong with the trace, and what is readable was written;
// 2: it is none, or what was to be written could not be; 130.
int convert_command(const convert_options& options);
std::vector<std::string> convert_formats();

struct stats_options {
    std::filesystem::path trace;
    bool json = false;
};
int stats_command(const stats_options& options);

} // namespace nmisafe::tool
