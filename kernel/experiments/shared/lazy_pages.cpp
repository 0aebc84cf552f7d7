// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/lazy_pages.hpp"

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

#ifdef __x86_64__
constexpr uintptr_t distance = uintptr_t{1} << 39; // an entry of the PML4
#else
constexpr uintptr_t distance = 1 << 22; // of a page directory; with PAE two of them
#endif

volatile uint32_t* pages[lazy_pages];

} // namespace

void set_up_lazy_pages() {
    for (unsigned i = 0; i < lazy_pages; ++i) {
        const uintptr_t begin = KERNEL_VMALLOC_BASE + i * distance;
        const vmalloc::area where(begin, begin + distance, vmalloc_area.shared_level());
        const auto made = vmalloc::vmalloc(where, page_size, vmalloc::permission::read_write);
        if (!made)
            return fail("a lazy page", 0, static_cast<uintptr_t>(made.error()));
        pages[i] = static_cast<volatile uint32_t*>(*made);
        *pages[i] = i;
    }
}

volatile uint32_t& lazy_page(unsigned number) {
    return *pages[number];
}

void forget_lazy_pages(const address_space& space) {
    if (!vmalloc::add_to(space.top_table, vmalloc_area))
        fail("lazy pages could be forgotten", 1, 0);
    x86::write_cr3(x86::read_cr3());
}

bool has_lazy_page(const address_space& space, unsigned number) {
    const uintptr_t* const entry = find_entry(space, reinterpret_cast<uintptr_t>(pages[number]));
    return entry != nullptr && (*entry & x86::page_entry::present) != 0;
}

} // namespace kernel
