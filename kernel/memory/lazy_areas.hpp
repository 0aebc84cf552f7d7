// SPDX-License-Identifier: MIT
// The parts of the kernel half that an address space learns of by page faults (nmisafe/vmalloc).
//
//   vmalloc   x86-64: shared by entries of the PML4, 512 GiB each. x86-32: by entries of the page
//             directory, 4 MiB each, with PAE 2 MiB.
//   modules   by entries of the page directory, on x86-64 too: code compiled with -mcmodel=kernel
//             must be within 2 GiB of the image, where the PML4 has but one entry, which is always
//             there. It costs each address space a page-directory-pointer table and a page
//             directory of its own: 8 KiB.
//
// Modules' code, constants and data are in areas of their own, so that each is faulted in alone.
#pragma once

#include "kernel/boot/layout.h"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

inline constexpr nmisafe::vmalloc::area vmalloc_area(KERNEL_VMALLOC_BASE,
                                                     KERNEL_VMALLOC_BASE + KERNEL_VMALLOC_SIZE,
                                                     sizeof(uintptr_t) == 8 ? 4 : 2);

constexpr nmisafe::vmalloc::area module_area(unsigned part) {
    return {KERNEL_MODULES_BASE + part * uintptr_t{KERNEL_MODULES_PART},
            KERNEL_MODULES_BASE + (part + 1) * uintptr_t{KERNEL_MODULES_PART}, 2};
}
inline constexpr nmisafe::vmalloc::area module_code_area = module_area(0);
inline constexpr nmisafe::vmalloc::area module_constants_area = module_area(1);
inline constexpr nmisafe::vmalloc::area module_data_area = module_area(2);

/// Makes the kernel's own tables for them. @context boot, after set_up_address_spaces()
void set_up_lazy_areas();

/// Prepares another address space, and undoes that. Panics when no memory is left. @context thread
void add_lazy_areas(uintptr_t top_table);
void remove_lazy_areas(uintptr_t top_table);

/// For page-fault handlers, first of all: see vmalloc::handle_fault(). @context any
nmisafe::vmalloc::fault handle_lazy_fault(const nmisafe::x86::trap_frame& frame, uintptr_t address);

/// The same for who expects no bad access: that is a panic, in an NMI handler too, with the address
/// and what is on the stack. False: the address is not in a lazy area. @context any
bool resolve_lazy_fault(const nmisafe::x86::trap_frame& frame, uintptr_t address);

/// The physical address of what a lazy area maps, 0 if it is none of theirs. @context any
uint64_t lazy_physical_address(uintptr_t address);

} // namespace kernel
