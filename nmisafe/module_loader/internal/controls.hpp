// SPDX-License-Identifier: MIT
/// Checks that a test build leaves out, one at a time, to show that the fuzzer would notice.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::module_loader::internal {

enum class check : uint8_t {
    none,
    relocation_place,  ///< that what a relocation changes lies within its section
    relocation_symbol, ///< that the symbol of a relocation exists
    string_end,        ///< that a string table ends with a 0
    section_extent,    ///< that a section lies within the image
    alignment,         ///< that an alignment is a power of two
    section_count,     ///< that no section has a reserved index
    symbol_name,       ///< that a symbol's name lies within the string table
    called_function,   ///< that a constructor or destructor lies in code
};

#ifdef NMISAFE_MODULE_LOADER_CONTROLS
/// Which one: for a test to set.
inline check left_out = check::none;
#else
inline constexpr check left_out = check::none;
#endif

inline bool is_left_out(check which) {
    return which == left_out && which != check::none;
}

} // namespace nmisafe::module_loader::internal
