// SPDX-License-Identifier: MIT
// The page fault of an address space that has not heard of a mapping yet. It stands in the no-probe
// section, and all it calls is inlined into it: a probe in here whose handler touches a mapping
// would never come to an end.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/vmalloc/internal/resolve.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::vmalloc {

/// Not by the running thread's address space, which during a switch is not the one in CR3.
[[NMISAFE_TRAP_TEXT, gnu::used]] fault handle_fault(const area& where, const platform::frame& frame,
                                                    uintptr_t address) {
    // No INVLPG: what the TLB held of the address, from before a permission was added, the fault
    // itself has dropped. [intel/vol3 4.10.4.1]
    return internal::resolve(where, platform::error_of(frame), address, x86::read_cr3());
}

uint64_t physical_address(const area& where, uintptr_t address) {
    if (!where.contains(address))
        return 0;
    const uint64_t table = internal::find_table(internal::contract::kernel_top_table(), address, 1);
    if (table == 0)
        return 0;
    const uint64_t leaf = internal::slot(table, internal::index_of(address, 1)).load();
    return internal::is_present(leaf) ? internal::table_of(leaf) | address % x86::page_size : 0;
}

} // namespace nmisafe::vmalloc
