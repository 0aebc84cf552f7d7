// SPDX-License-Identifier: MIT
// The page fault of an address space that has not heard of a mapping yet. It stands in the no-probe
// section, and all it calls is inlined into it: a probe in here whose handler touches a mapping
// would never come to an end.
#include "nmisafe/vmalloc/internal/resolve.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::vmalloc {

/// Not by the running thread's address space, which during a switch is not the one in CR3.
[[gnu::section("nmisafe_trap_text"), gnu::used]] fault
handle_fault(const area& where, const x86::trap_frame& frame, uintptr_t address) {
    const fault result = internal::resolve(where, frame.error, address, x86::read_cr3());
    // What the TLB may hold from before a permission was added. An entry that is not present it
    // never holds, so most faults do without.
    if (result == fault::resolved && (frame.error & x86::page_fault_error::present) != 0)
        x86::invalidate_page(reinterpret_cast<const void*>(address));
    return result;
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
