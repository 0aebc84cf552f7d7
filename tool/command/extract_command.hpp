// SPDX-License-Identifier: MIT
// `nmisafe extract`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace nmisafe::tool {

struct extract_options {
    std::filesystem::path image;
    std::filesystem::path output = "trace";
    std::uint64_t base = 0;                  // where a raw image begins
    std::optional<std::uint64_t> descriptor; // of several traces this one
    std::string kernel;                      // its ELF file, for who reads the trace
    bool replace = false;
};

int extract_command(const extract_options& options);

} // namespace nmisafe::tool
