// SPDX-License-Identifier: MIT
// What a page fault in an area comes to. Apart from CR3 itself, so that it is tested on any host.
//
// All of it is inlined: fault.cpp says why.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/paging.hpp"

namespace nmisafe::vmalloc::internal {

namespace fault_error = x86::page_fault_error;

/// Whether an entry of the last level allows what an error code asks for. The levels above allow
/// everything but user mode (tables.hpp).
[[NMISAFE_TRAP_INLINE]] constexpr bool allows(uint64_t leaf, uintptr_t error) {
    if (!is_present(leaf))
        return false;
    if ((error & fault_error::write) != 0 && (leaf & page_entry::writable) == 0)
        return false;
    return (error & fault_error::fetch) == 0 || (leaf & page_entry::no_execute) == 0;
}

/// The entry of the shared level that leads to an address, copied from the kernel's table if this
/// address space lacks it. Whoever else does the same, on another CPU or in an NMI here, writes the
/// same. 0: the kernel has none, or this address space was not prepared for the area.
[[NMISAFE_TRAP_INLINE]] inline uint64_t bring_up_to_date(uint64_t top, uintptr_t address,
                                                         unsigned level) {
    const uint64_t mine = find_table(top, address, level);
    if (mine == 0)
        return 0;
    const slot entry(mine, index_of(address, level));
    if (const uint64_t value = entry.load(); is_present(value))
        return value;
    const uint64_t kernels = find_table(contract::kernel_top_table(), address, level);
    if (kernels == 0)
        return 0;
    const uint64_t wanted = slot(kernels, index_of(address, level)).load();
    if (!is_present(wanted))
        return 0;
    entry.set(wanted);
    return wanted;
}

/// `top` is what CR3 holds: the address space of the access, whatever thread is said to run.
[[NMISAFE_TRAP_INLINE]] inline fault resolve(const area& where, uintptr_t error, uintptr_t address,
                                             uint64_t top) {
    if (!where.contains(address))
        return fault::not_here;
    // User mode, a reserved bit, protection keys and the like: nothing that a copied entry mends.
    constexpr uintptr_t curable = fault_error::present | fault_error::write | fault_error::fetch;
    if ((error & ~curable) != 0)
        return fault::bad;
    const unsigned level = where.shared_level();
    const uint64_t entry = bring_up_to_date(top, address, level);
    if (entry == 0)
        return fault::bad;
    const uint64_t table = find_table(table_of(entry), address, 1, level - 1);
    if (table == 0 || !allows(slot(table, index_of(address, 1)).load(), error))
        return fault::bad;
    return fault::resolved;
}

} // namespace nmisafe::vmalloc::internal
