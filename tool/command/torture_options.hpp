// SPDX-License-Identifier: MIT
// The command line of `nmisafe torture`.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nmisafe::tool {

// As add_record().
void add_torture(CLI::App& to, std::vector<std::string> qemu_arguments,
                 std::function<int()>& chosen);

} // namespace nmisafe::tool
