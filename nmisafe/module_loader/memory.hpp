// SPDX-License-Identifier: MIT
/// Where the loader has its memory from.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/permission.hpp"

namespace nmisafe::module_loader {

/// All are called by threads, not in an NMI, and with interrupts on as far as may_synchronise()
/// has said so.
struct memory_functions {
    /// Whether other CPUs can be waited for here: asked before anything is done.
    bool (*may_synchronise)();
    /// At least `size` bytes, zero, at a page boundary, readable and writable; null if there are
    /// none.
    void* (*allocate)(const vmalloc::area& where, size_t size);
    /// Changes what may be done with all of it. False: nothing has changed.
    bool (*protect)(const vmalloc::area& where, void* memory, vmalloc::permission may);
    /// False: nothing has changed, and the same may be tried again.
    bool (*release)(const vmalloc::area& where, void* memory);
};

/// The module vmalloc.
extern const memory_functions vmalloc_memory;

} // namespace nmisafe::module_loader
