// SPDX-License-Identifier: MIT
#include "kernel/memory/pages.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/panic/panic.hpp"

extern "C" char kernel_image_end[];

namespace kernel {

namespace {

constexpr uint64_t first_megabyte = 0x100000;

spinlock lock;
uintptr_t next_page; // never handed out yet, up to end_of_pages
uintptr_t end_of_pages;
uintptr_t in_use;
uintptr_t free_pages; // each holds the address of the next one, 0 ends the list

/// The end of the available memory that has `address` in it, 0 if there is none.
uint64_t end_of_memory_at(const multiboot::information& information, uint64_t address) {
    if ((information.flags & multiboot::has_memory_map) != 0) {
        uintptr_t at = information.memory_map;
        const uintptr_t end = at + information.memory_map_length;
        while (at < end) {
            auto* const entry =
                static_cast<const multiboot::memory_map_entry*>(physical_to_virtual(at));
            if (entry->type == multiboot::available_memory && entry->base <= address &&
                address - entry->base < entry->length)
                return entry->base + entry->length;
            at += entry->size + sizeof(entry->size);
        }
        return 0;
    }
    if ((information.flags & multiboot::has_memory) != 0)
        return first_megabyte + uint64_t{information.memory_upper} * 1024;
    return 0;
}

} // namespace

void* physical_to_virtual(uintptr_t physical) {
    if (physical >= KERNEL_DIRECT_SIZE)
        panic("physical address beyond the direct map", nullptr, physical);
    return reinterpret_cast<void*>(KERNEL_DIRECT_BASE + physical);
}

void set_up_pages(const multiboot::information& information) {
    next_page = reinterpret_cast<uintptr_t>(kernel_image_end) - KERNEL_IMAGE_BASE;
    uint64_t end = end_of_memory_at(information, next_page);
    if (end > KERNEL_DIRECT_SIZE)
        end = KERNEL_DIRECT_SIZE;
    end_of_pages = static_cast<uintptr_t>(end) & ~(page_size - 1);
}

uintptr_t try_allocate_page() {
    uintptr_t page = 0;
    {
        const locked hold(lock);
        if (free_pages != 0) {
            page = free_pages;
            free_pages = *static_cast<uintptr_t*>(physical_to_virtual(page));
        } else if (next_page < end_of_pages) {
            page = next_page;
            next_page += page_size;
        } else {
            return 0;
        }
        ++in_use;
    }
    __builtin_memset(physical_to_virtual(page), 0, page_size);
    return page;
}

uintptr_t try_allocate_contiguous(size_t count) {
    uintptr_t first = 0;
    {
        const locked hold(lock);
        if (count > (end_of_pages - next_page) / page_size)
            return 0;
        first = next_page;
        next_page += count * page_size;
        in_use += count;
    }
    __builtin_memset(physical_to_virtual(first), 0, count * page_size);
    return first;
}

uintptr_t allocate_page() {
    const uintptr_t page = try_allocate_page();
    if (page == 0)
        panic("out of memory", nullptr, end_of_pages);
    return page;
}

void free_page(uintptr_t physical) {
    const locked hold(lock);
    *static_cast<uintptr_t*>(physical_to_virtual(physical)) = free_pages;
    free_pages = physical;
    --in_use;
}

uintptr_t pages_in_use() {
    return __atomic_load_n(&in_use, __ATOMIC_RELAXED);
}

} // namespace kernel
