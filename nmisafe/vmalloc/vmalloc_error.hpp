// SPDX-License-Identifier: MIT
/// Why a mapping is refused.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::vmalloc {

enum class vmalloc_error : uint8_t {
    in_nmi = 1,         ///< Asked for in an NMI handler, where nobody may wait for other CPUs.
    cannot_synchronise, ///< The platform cannot reach the other CPUs from here (interrupts off).
    bad_size,           ///< No byte, or more than the area has.
    bad_page,           ///< vmap(): a physical address that is not a page's.
    no_space,           ///< No gap in the area is large enough.
    no_memory,          ///< The platform has no page left. Nothing has been mapped.
    not_mapped,         ///< No such mapping begins there, or it was made by the other function.
};

} // namespace nmisafe::vmalloc
