// SPDX-License-Identifier: MIT
#include "nmisafe/vmalloc/vmalloc.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/c/vmalloc.h"

using namespace nmisafe;

namespace {

using vmalloc::area;
using vmalloc::permission;
using vmalloc::vmalloc_error;

// The same in memory: the area of C, read as one of C++.
constexpr nmisafe_area shown = __builtin_bit_cast(nmisafe_area, area(1, 2, 3));
static_assert(sizeof(nmisafe_area) == sizeof(area) && shown.begin == 1 && shown.end == 2 &&
              shown.shared_level == 3);
static_assert(NMISAFE_READ_ONLY == static_cast<int>(permission::read_only) &&
              NMISAFE_READ_WRITE == static_cast<int>(permission::read_write) &&
              NMISAFE_EXECUTE == static_cast<int>(permission::execute));
static_assert(NMISAFE_FAULT_NOT_HERE == static_cast<int>(vmalloc::fault::not_here) &&
              NMISAFE_FAULT_RESOLVED == static_cast<int>(vmalloc::fault::resolved) &&
              NMISAFE_FAULT_BAD == static_cast<int>(vmalloc::fault::bad));

[[NMISAFE_TRAP_INLINE]] inline const area& area_of(const nmisafe_area* where) {
    return *reinterpret_cast<const area*>(where);
}

nmisafe_error translate(vmalloc_error why) {
    using enum vmalloc_error;
    switch (why) {
    case in_nmi:
        return NMISAFE_IN_NMI;
    case cannot_synchronise:
        return NMISAFE_CANNOT_SYNCHRONISE;
    case bad_size:
        return NMISAFE_BAD_SIZE;
    case bad_page:
        return NMISAFE_BAD_PAGE;
    case no_space:
        return NMISAFE_NO_SPACE;
    case no_memory:
        return NMISAFE_NO_MEMORY;
    case not_mapped:
        return NMISAFE_NOT_MAPPED;
    case bad_area:
        return NMISAFE_BAD_AREA;
    case not_set_up:
        return NMISAFE_NOT_SET_UP;
    case no_top_entry:
        return NMISAFE_NO_TOP_ENTRY;
    case large_page:
        return NMISAFE_LARGE_PAGE;
    case kernel_space:
        break;
    }
    return NMISAFE_KERNEL_SPACE;
}

nmisafe_error outcome(const base::expected<size_t, vmalloc_error>& result) {
    return result.has_value() ? NMISAFE_OK : translate(result.error());
}

nmisafe_error outcome(const base::expected<void*, vmalloc_error>& mapped, void** result) {
    if (!mapped.has_value())
        return translate(mapped.error());
    *result = *mapped;
    return NMISAFE_OK;
}

permission permission_of(nmisafe_permission may) {
    return static_cast<permission>(may);
}

} // namespace

[[NMISAFE_TRAP_TEXT, gnu::used]] nmisafe_fault
nmisafe_vmalloc_handle_fault(const nmisafe_area* where, const nmisafe_frame* frame,
                             uintptr_t address) {
    return static_cast<nmisafe_fault>(vmalloc::handle_fault(
        area_of(where), *reinterpret_cast<const x86::trap_frame*>(frame), address));
}

nmisafe_error nmisafe_vmalloc_set_up(const nmisafe_area* where) {
    return outcome(vmalloc::set_up(area_of(where)));
}

nmisafe_error nmisafe_vmalloc_add_to(uint64_t top_table, const nmisafe_area* where) {
    return outcome(vmalloc::add_to(top_table, area_of(where)));
}

nmisafe_error nmisafe_vmalloc_remove_from(uint64_t top_table, const nmisafe_area* where) {
    return outcome(vmalloc::remove_from(top_table, area_of(where)));
}

nmisafe_error nmisafe_vmalloc_sync_mappings(const nmisafe_area* where) {
    return outcome(vmalloc::vmalloc_sync_mappings(area_of(where)));
}

nmisafe_error nmisafe_vmalloc(const nmisafe_area* where, size_t size, nmisafe_permission may,
                              void** result) {
    return outcome(vmalloc::vmalloc(area_of(where), size, permission_of(may)), result);
}

nmisafe_error nmisafe_vfree(const nmisafe_area* where, const void* address) {
    return outcome(vmalloc::vfree(area_of(where), address));
}

nmisafe_error nmisafe_vmap(const nmisafe_area* where, const uint64_t* pages, size_t count,
                           nmisafe_permission may, void** result) {
    return outcome(vmalloc::vmap(area_of(where), pages, count, permission_of(may)), result);
}

nmisafe_error nmisafe_vunmap(const nmisafe_area* where, const void* address) {
    return outcome(vmalloc::vunmap(area_of(where), address));
}

nmisafe_error nmisafe_set_permission(const nmisafe_area* where, const void* address,
                                     nmisafe_permission may) {
    return outcome(vmalloc::set_permission(area_of(where), address, permission_of(may)));
}

uint64_t nmisafe_physical_address(const nmisafe_area* where, uintptr_t address) {
    return vmalloc::physical_address(area_of(where), address);
}
