// SPDX-License-Identifier: MIT
// The one file here that calls vmalloc.
#include "nmisafe/module_loader/memory.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"

namespace nmisafe::module_loader {

static_assert(platform::has_may_synchronise<platform::contract>,
              "nmisafe_platform lacks: static bool may_synchronise()");

namespace {

bool may_synchronise() {
    return platform::contract::may_synchronise();
}

void* allocate(const vmalloc::area& where, size_t size) {
    return vmalloc::vmalloc(where, size, vmalloc::permission::read_write).value_or(nullptr);
}

bool protect(const vmalloc::area& where, void* memory, vmalloc::permission may) {
    return vmalloc::set_permission(where, memory, may).has_value();
}

bool release(const vmalloc::area& where, void* memory) {
    return vmalloc::vfree(where, memory).has_value();
}

} // namespace

constinit const memory_functions vmalloc_memory = {may_synchronise, allocate, protect, release};

} // namespace nmisafe::module_loader
