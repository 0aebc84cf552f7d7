// SPDX-License-Identifier: MIT
// Modules: loaded from the boot image into the lazy areas, joined to the kernel's code and tables.
#pragma once

#include "kernel/common/text.hpp"
#include "kernel/events/images.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/join.hpp"
#include "nmisafe/kprobe/closed_range.hpp"
#include "nmisafe/marker/join.hpp"
#include "nmisafe/module_loader/module_loader.hpp"

namespace kernel {

/// So many modules with code can be live at once; without code any number.
inline constexpr unsigned most_modules = 8;

/// Room for one module. @context thread, all of it
struct kernel_module {
    nmisafe::module_loader::loaded_module loaded;

    nmisafe::kprobe::closed_range closed; ///< But while it is live.
    uint32_t at_work; ///< Whether one of the functions below is; another is `busy` meanwhile.

    // While it is live.
    nmisafe::immediate::site_range sites;
    nmisafe::marker::marker_range markers;
    traced_images images;
};

/// An object file in the boot image.
struct boot_module {
    const uint8_t* bytes;
    size_t size;
};

/// The object made of modules/loaded/<name>.cpp; of size 0 if there is none. @context any
boot_module find_boot_module(text name);

/// Puts a module into memory; nothing of it runs. @context thread, interrupts on
nmisafe::base::expected<size_t, nmisafe::module_loader::load_error>
load_module(kernel_module& into, const void* image, size_t size);

/// Joins it: its code becomes text that can be patched, its sites and markers the kernel's. Then
/// its init; if that succeeds, the code can be probed. @context thread, interrupts on
nmisafe::base::expected<size_t, nmisafe::module_loader::load_error>
start_module(kernel_module& which);

/// Exit, leaving, a grace period, and its memory is free. `in_use`: somebody uses it, or a kprobe
/// stands on its code, or leads there, and nothing has happened. Or, when the module is `stopped`
/// then, a kprobe of its own, that its exit did not take off, has not been released: so it stays in
/// memory.
/// @context thread, interrupts on, preempt count 0; one call at a time for each module
nmisafe::base::expected<size_t, nmisafe::module_loader::load_error>
unload_module(kernel_module& which);

} // namespace kernel
