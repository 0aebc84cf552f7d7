// SPDX-License-Identifier: MIT
/// Apart from vmalloc.hpp, so that a module's sources, which know the loader's headers, need no platform's.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::vmalloc {

/// What code may do with a mapping, user mode nothing. There is none that may be both written and
/// executed. Without PAE x86-32 cannot keep anybody from executing what can be read.
enum class permission : uint8_t { read_only, read_write, execute };

} // namespace nmisafe::vmalloc
