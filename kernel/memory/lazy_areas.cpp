// SPDX-License-Identifier: MIT
#include "kernel/memory/lazy_areas.hpp"

#include "kernel/memory/address_space.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr const vmalloc::area* areas[] = {&vmalloc_area, &module_code_area, &module_constants_area,
                                          &module_data_area};
static_assert(vmalloc_area.is_valid(paging) && module_code_area.is_valid(paging) &&
              module_constants_area.is_valid(paging) && module_data_area.is_valid(paging));

} // namespace

void set_up_lazy_areas() {
    for (const auto* area : areas)
        if (!vmalloc::set_up(*area))
            panic("no memory for a lazy area", nullptr, area->begin());
}

void add_lazy_areas(uintptr_t top_table) {
    for (const auto* area : areas)
        if (!vmalloc::add_to(top_table, *area))
            panic("no memory for an address space", nullptr, area->begin());
}

void remove_lazy_areas(uintptr_t top_table) {
    for (const auto* area : areas)
        if (!vmalloc::remove_from(top_table, *area))
            panic("an address space's tables could not be given back", nullptr, area->begin());
}

[[NMISAFE_TRAP_TEXT]] vmalloc::fault handle_lazy_fault(const x86::trap_frame& frame,
                                                       uintptr_t address) {
    for (const auto* area : areas)
        if (area->contains(address))
            return vmalloc::handle_fault(*area, frame, address);
    return vmalloc::fault::not_here;
}

[[NMISAFE_TRAP_TEXT]] bool resolve_lazy_fault(const x86::trap_frame& frame, uintptr_t address) {
    const vmalloc::fault result = handle_lazy_fault(frame, address);
    if (result == vmalloc::fault::bad)
        panic(context::in_nmi() ? "bad access in an NMI handler" : "bad access", &frame, address);
    return result == vmalloc::fault::resolved;
}

uint64_t lazy_physical_address(uintptr_t address) {
    for (const auto* area : areas)
        if (area->contains(address))
            return vmalloc::physical_address(*area, address);
    return 0;
}

} // namespace kernel
