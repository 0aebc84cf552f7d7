// SPDX-License-Identifier: MIT
// `nmisafe torture --campaign`.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tool/torture/options.hpp"

namespace nmisafe::tool {

struct campaign_options {
    std::filesystem::path file, kernels, out = "out/torture";
    std::vector<std::string> names; // empty: all
    bool brief = false;
    std::string share; // K/N
};

// From a sweep's arguments, as they stand on a command line; throws std::runtime_error with what is wrong.
using torture_parser =
    std::function<torture::torture_options(const std::vector<std::string>& arguments)>;

// Does the sweeps that are not done yet, one after the other, and says what all have come to. 1 if one has a finding, 2 if
// one could not be done, or was shorter than it must be.
int campaign_command(const campaign_options& options, const torture_parser& parse);

} // namespace nmisafe::tool
