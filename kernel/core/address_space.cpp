// SPDX-License-Identifier: MIT
#include "kernel/core/address_space.hpp"

#include "kernel/core/panic.hpp"
#include "kernel/core/spinlock.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

// Two levels on x86-32, four on x86-64; apart from that the tables are alike. [intel/vol3 4.3, 4.5]
constexpr unsigned levels = sizeof(uintptr_t) == 8 ? 4 : 2;
constexpr unsigned index_bits = sizeof(uintptr_t) == 8 ? 9 : 10;
constexpr uintptr_t table_entries = page_size / sizeof(uintptr_t);

constexpr uintptr_t entry_present = 1;
constexpr uintptr_t entry_writable = 2;
constexpr uintptr_t entry_large = 0x80;
constexpr uintptr_t entry_address = ~(page_size - 1); // no NX, no bits above the address are in use

// Top-level entries from here on are shared.
constexpr uintptr_t first_shared_entry = KERNEL_DIRECT_BASE >> (12 + index_bits * (levels - 1)) &
                                         (table_entries - 1);

constexpr unsigned most_spaces = 32;

address_space spaces[most_spaces]; // [0] is the kernel's
unsigned spaces_in_use = 1;
spinlock lock;

uintptr_t* table_at(uintptr_t physical) {
    return static_cast<uintptr_t*>(physical_to_virtual(physical));
}

constexpr uintptr_t index_at(uintptr_t address, unsigned level) {
    return address >> (12 + index_bits * level) & (table_entries - 1);
}

/// Walks to the last level. With `create`, tables that lack are made.
uintptr_t* walk(const address_space& space, uintptr_t address, bool create) {
    uintptr_t* table = table_at(space.top_table);
    for (unsigned level = levels - 1; level != 0; --level) {
        uintptr_t& entry = table[index_at(address, level)];
        if ((entry & entry_present) == 0) {
            if (!create)
                return nullptr;
            entry = allocate_page() | entry_present | entry_writable;
        }
        if ((entry & entry_large) != 0)
            return nullptr;
        table = table_at(entry & entry_address);
    }
    return &table[index_at(address, 0)];
}

} // namespace

address_space& kernel_space() {
    return spaces[0];
}

void set_up_address_spaces() {
    spaces[0].top_table = allocate_page();
    uintptr_t* const boot_table = table_at(x86::read_cr3() & entry_address);
    uintptr_t* const table = table_at(spaces[0].top_table);
    for (uintptr_t entry = first_shared_entry; entry < table_entries; ++entry)
        table[entry] = boot_table[entry];
    // The page area's tables are all made now: the top-level entries are then final, so that copies
    // in other address spaces never miss one, and a mapping made in a page fault allocates nothing.
    for (uintptr_t offset = 0; offset < KERNEL_PAGES_SIZE; offset += page_size * table_entries)
        walk(spaces[0], KERNEL_PAGES_BASE + offset, true);
    switch_to(spaces[0]);
}

address_space* create_address_space() {
    const uintptr_t top_table = allocate_page();
    uintptr_t* const table = table_at(top_table);
    const uintptr_t* const shared = table_at(spaces[0].top_table);
    for (uintptr_t entry = first_shared_entry; entry < table_entries; ++entry)
        table[entry] = shared[entry];
    const locked hold(lock);
    if (spaces_in_use == most_spaces)
        panic("too many address spaces", nullptr, spaces_in_use);
    address_space& space = spaces[spaces_in_use++];
    space.top_table = top_table;
    return &space;
}

uintptr_t* find_entry(const address_space& space, uintptr_t virtual_address) {
    return walk(space, virtual_address, false);
}

void map(address_space& space, uintptr_t virtual_address, uintptr_t physical, bool writable) {
    const locked hold(lock);
    uintptr_t* const entry = walk(space, virtual_address, true);
    if (entry == nullptr || (*entry & entry_present) != 0)
        panic("page is mapped already", nullptr, virtual_address);
    *entry = (physical & entry_address) | entry_present | (writable ? entry_writable : 0);
}

void unmap(address_space& space, uintptr_t virtual_address) {
    const locked hold(lock);
    uintptr_t* const entry = walk(space, virtual_address, false);
    if (entry == nullptr || (*entry & entry_present) == 0)
        panic("page is not mapped", nullptr, virtual_address);
    *entry = 0;
    x86::invalidate_page(reinterpret_cast<const void*>(virtual_address));
}

} // namespace kernel
