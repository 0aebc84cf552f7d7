// SPDX-License-Identifier: MIT
// What differs between the versions of QEMU, as data, told by what the program says of itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nmisafe::tool {

struct qemu {
    std::string version; // "qemu 7.2.22", for the report
    // The accelerator of a run of which each instruction is logged, and one more argument that it needs, if not
    // empty: every instruction is a translation block of its own, since -d exec logs blocks.
    std::string_view logged_accelerator;
    std::string_view logged_argument;
};

// From what `--version` prints; empty when that is not QEMU's.
std::optional<qemu> identify_qemu(std::string_view version_output);

} // namespace nmisafe::tool
