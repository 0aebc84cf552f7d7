// SPDX-License-Identifier: MIT
/// The two widths, and which of them this is compiled for.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::x86 {

/// The mode of the code segment. 16-bit code is not supported.
enum class width : uint8_t { bits_32, bits_64 };

inline constexpr bool is_64_bit = sizeof(uintptr_t) == 8;
inline constexpr width this_width = is_64_bit ? width::bits_64 : width::bits_32;

} // namespace nmisafe::x86
