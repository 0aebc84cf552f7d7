// SPDX-License-Identifier: MIT
/// The code of the reference kernel, from its ELF file.
#pragma once

#include "nmisafe/x86/instruction.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace decoder_test {

/// What lies between two symbols.
struct routine {
    std::string name;
    size_t begin; // in kernel_text::bytes
    size_t end;
};

struct kernel_text {
    nmisafe::x86::width mode;
    std::vector<uint8_t> bytes; // .text
    std::vector<routine> routines;
};

/// From kernel_text_begin to the end of .text. None, and said on stderr, if the file is no such
/// kernel.
std::optional<kernel_text> read_kernel_text(const char* path);

} // namespace decoder_test
