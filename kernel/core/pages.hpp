// SPDX-License-Identifier: MIT
// Physical memory, in pages.
#pragma once

#include "kernel/boot/layout.h"
#include "kernel/boot/multiboot.h"
#include "nmisafe/base/std.hpp"

namespace kernel {

inline constexpr uintptr_t page_size = 4096;

/// Takes over the RAM behind the kernel image that the loader reports as available.
/// @context boot, once
void set_up_pages(const multiboot::information& information);

/// The physical address of a zeroed page; panics when there is none left. @context thread
uintptr_t allocate_page();

/// Gives a page of allocate_page() back. @context thread
void free_page(uintptr_t physical);

/// Where the direct map shows physical memory. Panics beyond the direct map (layout.h). @context
/// any
void* physical_to_virtual(uintptr_t physical);

/// Where the registers of a device at a physical address are. @context any
[[gnu::always_inline]] inline volatile uint32_t* device_register(uintptr_t physical) {
    return reinterpret_cast<volatile uint32_t*>(KERNEL_MMIO_BASE + physical);
}

} // namespace kernel
