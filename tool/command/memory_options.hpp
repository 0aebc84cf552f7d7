// SPDX-License-Identifier: MIT
// The options of `record` and `extract`.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nmisafe::tool {

// `chosen` becomes what runs the command, if it is given. `qemu_arguments`: what stood behind "--".
void add_record(CLI::App& to, std::vector<std::string> qemu_arguments,
                std::function<int()>& chosen);
void add_extract(CLI::App& to, std::function<int()>& chosen);

// Takes what stands behind "--" out of the command line.
std::vector<std::string> take_qemu_arguments(int& argc, char** argv);

} // namespace nmisafe::tool
