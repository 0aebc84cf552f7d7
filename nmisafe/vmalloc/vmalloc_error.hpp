// SPDX-License-Identifier: MIT
/// Why a mapping is refused.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::vmalloc {

/// None of these passes by itself, since whoever is at work here is waited for: memory and space
/// come back when somebody gives them back.
enum class vmalloc_error : uint8_t {
    in_nmi = 1,         ///< Asked for in an NMI handler, where nobody may wait for other CPUs.
    cannot_synchronise, ///< The platform cannot reach the other CPUs from here (interrupts off).
    bad_size,           ///< No byte, or more than the area has.
    bad_page,           ///< A physical address that is not a page's; a top-level table that is 0.
    no_space,           ///< No gap in the area is large enough.
    no_memory,          ///< The platform has no page left. Nothing has been mapped.
    not_mapped,         ///< No such mapping begins there, or it was made by the other function.
    bad_area,           ///< The area keeps not all the rules of area.hpp.
    not_set_up,         ///< set_up() has not been called for the area, or has failed.
    no_top_entry,       ///< set_up() with PAE: the kernel's top-level table lacks the entry.
    large_page,         ///< A large page stands where a table is to be.
    kernel_space,       ///< add_to(), remove_from(): the address space is the kernel's own.
};

} // namespace nmisafe::vmalloc
