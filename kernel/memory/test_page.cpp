// SPDX-License-Identifier: MIT
#include "kernel/memory/test_page.hpp"

#include "kernel/memory/address_space.hpp"

namespace kernel {

namespace {

constexpr uintptr_t area = KERNEL_PAGES_BASE + KERNEL_TEST_PAGES_OFFSET;
static_assert(uintptr_t{KERNEL_STACK_SLOT} * KERNEL_STACK_SLOTS <= KERNEL_TEST_PAGES_OFFSET);
static_assert(KERNEL_TEST_PAGES_OFFSET + test_pages * page_size <= KERNEL_PAGES_SIZE);

uintptr_t* entries[test_pages]; // where each page's page-table entry is
uintptr_t contents[test_pages]; // and what it holds while the page is mapped

} // namespace

void set_up_test_pages() {
    for (unsigned n = 0; n < test_pages; ++n) {
        const uintptr_t address = area + n * page_size;
        map(kernel_space(), address, allocate_page(), true);
        entries[n] = find_entry(kernel_space(), address);
        contents[n] = *entries[n];
        unmap(kernel_space(), address);
    }
}

void* test_page(unsigned n) {
    return reinterpret_cast<void*>(area + n * page_size);
}

unsigned find_test_page(uintptr_t address) {
    return address < area || address >= area + test_pages * page_size
               ? test_pages
               : static_cast<unsigned>((address - area) / page_size);
}

void map_test_page(unsigned n) {
    __atomic_store_n(entries[n], contents[n], __ATOMIC_RELEASE);
}

void unmap_test_page(unsigned n) {
    __atomic_store_n(entries[n], 0, __ATOMIC_RELEASE);
    nmisafe::x86::invalidate_page(test_page(n));
}

} // namespace kernel
