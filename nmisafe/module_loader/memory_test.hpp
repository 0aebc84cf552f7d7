// SPDX-License-Identifier: MIT
/// The loader's memory in the host tests: mappings of this process, at addresses near the program.
#pragma once

#include "nmisafe/module_loader/module_loader.hpp"

namespace nmisafe::module_loader::test {

extern vmalloc::area code_area;
extern vmalloc::area read_only_area;
extern vmalloc::area data_area;
extern vmalloc::area far_area; ///< On x86-64 out of reach of 32 bits.

inline constexpr areas near_areas{&code_area, &read_only_area, &data_area};

/// What is there, and what shall fail.
struct memory_state {
    size_t mappings;
    size_t bytes;
    unsigned allocations;        ///< So many allocations have been asked for.
    unsigned failing_allocation; ///< Which of them fails; 0: none.
    unsigned protections;
    unsigned failing_protection;
    unsigned failing_releases; ///< So many releases fail from now on.
    bool cannot_synchronise;
    size_t refuses_more_than; ///< In one allocation; 0: what is too much the system says.
};
extern memory_state memory;

/// Maps memory, and takes note.
extern const memory_functions mapped_memory;

/// How an address is mapped, as the system says: "r-x", or "" if it is not. Static.
const char* permission_of(uintptr_t address);

} // namespace nmisafe::module_loader::test
