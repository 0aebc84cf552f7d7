// SPDX-License-Identifier: MIT
// Physical memory, in pages.
#pragma once

#include "kernel/boot/layout.h"
#include "kernel/boot/multiboot.h"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/paging.hpp"

namespace kernel {

using nmisafe::x86::page_size;

/// Takes over the RAM behind the kernel image that the loader reports as available.
/// @context boot, once
void set_up_pages(const multiboot::information& information);

/// The physical address of a zeroed page; panics when there is none left. @context thread
uintptr_t allocate_page();

/// The same, but 0 when there is none left. @context thread
uintptr_t try_allocate_page();

/// So many pages that follow each other in physical memory, zeroed: where the first one is, or 0 when
/// there are none left that never were in use. They are not given back. @context thread
uintptr_t try_allocate_contiguous(size_t count);

/// Gives a page of allocate_page() back. @context thread
void free_page(uintptr_t physical);

/// Pages handed out and not given back. @context any
uintptr_t pages_in_use();

/// Where the direct map shows physical memory. Panics beyond the direct map (layout.h). @context
/// any
void* physical_to_virtual(uintptr_t physical);

/// Where the registers of a device at a physical address are. @context any
[[gnu::always_inline]] inline volatile uint32_t* device_register(uintptr_t physical) {
    return reinterpret_cast<volatile uint32_t*>(KERNEL_MMIO_BASE + physical);
}

} // namespace kernel
