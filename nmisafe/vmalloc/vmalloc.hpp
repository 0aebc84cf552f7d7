// SPDX-License-Identifier: MIT
/// Kernel mappings that an address space learns of when it first touches them: also in an NMI.
///
///     constexpr vmalloc::area buffers(BEGIN, END, 4); // shared by entries of the PML4
///
///     const auto memory = vmalloc::vmalloc(buffers, 20 << 20, vmalloc::permission::read_write);
///     ...
///     const auto freed = vmalloc::vfree(buffers, *memory);
///
///     bool on_page_fault(x86::trap_frame& frame, uintptr_t address) {
///         return vmalloc::handle_fault(buffers, frame, address) == vmalloc::fault::resolved;
///     }
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/frame.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/permission.hpp"
#include "nmisafe/vmalloc/vmalloc_error.hpp"

namespace nmisafe::vmalloc {

/// New memory of at least `size` bytes, zeroed, at a page boundary, with an unmapped page behind
/// it and before it. Page tables made on the way stay, also if it then fails. @context thread,
/// interrupts on @locks the platform's mapping lock, as all that follow
/// @return its address.
base::expected<void*, vmalloc_error> vmalloc(const area& where, size_t size, permission may);

/// Gives the memory of vmalloc() back. When it returns no CPU resolves an address in it any more,
/// neither by its tables nor by its TLB; then the pages are the platform's again. Waits for all
/// CPUs, so also until each NMI handler that was in progress has ended. With an error nothing has
/// changed. @context thread, interrupts on. @return its size in bytes.
base::expected<size_t, vmalloc_error> vfree(const area& where, const void* address);

/// The same for pages of the caller's, which stay the caller's: `pages` are physical addresses.
/// The array is not used any more when the call returns. @context as vmalloc() and vfree()
base::expected<void*, vmalloc_error> vmap(const area& where, const uint64_t* pages, size_t count,
                                          permission may);
base::expected<size_t, vmalloc_error> vunmap(const area& where, const void* address);

/// Changes what may be done with a whole mapping, on all CPUs when it returns. @context thread,
/// interrupts on. @return its size in bytes.
base::expected<size_t, vmalloc_error> set_permission(const area& where, const void* address,
                                                     permission may);

/// The physical address behind a mapped address, 0 if there is none. From the kernel's own tables.
/// @context any; the mapping must not be torn down meanwhile
uint64_t physical_address(const area& where, uintptr_t address);

enum class fault : uint8_t {
    not_here = 0, ///< The address is not in the area.
    resolved,     ///< To be tried again: now it works.
    bad,          ///< Nothing is mapped there, or not for this kind of access.
};

/// For the embedding kernel's page-fault handler: `address` is CR2 as trap hands it over. Copies
/// the one entry that this address space lacks (area.hpp), looks whether the access is then
/// allowed, and says so. So an access that is not allowed is never tried twice.
///
/// Uses CR3 and the kernel's own tables, nothing that depends on the running thread; takes no lock,
/// allocates nothing, waits for nobody. @context any, NMI included, also in the middle of an
/// address-space switch
fault handle_fault(const area& where, const platform::frame& frame, uintptr_t address);

} // namespace nmisafe::vmalloc
