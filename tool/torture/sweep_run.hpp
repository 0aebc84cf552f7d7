// SPDX-License-Identifier: MIT
// One emulator with the plugin, from start to end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tool/torture/sweep_lines.hpp"

namespace nmisafe::tool::torture {

struct sweep_command {
    std::string program;
    std::vector<std::string> arguments;
    std::string plugin;           // the file
    std::string plugin_arguments; // without the descriptor
    std::uint64_t output_limit = 0;
    unsigned timeout_seconds = 0; // until the path is taken, and then for each boundary
};

struct sweep_outcome {
    sweep_lines lines;
    std::string error; // why there is nothing, or no more; empty if it came to its end
    bool interrupted = false;
    std::string console; // what the guest has printed, the beginning and the end of it
    double seconds = 0;  // since the path was taken
};

// `show` is called now and then with what there is so far, and the seconds since the path was taken.
sweep_outcome run_sweep(const sweep_command& command,
                        const std::function<void(const sweep_lines&, double)>& show);

} // namespace nmisafe::tool::torture
