// SPDX-License-Identifier: MIT
#include "kernel/memory/address_space.hpp"

#include "kernel/common/join_text.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/panic/panic.hpp"

extern "C" const char kernel_image_end[]; // the linker's

namespace kernel {

namespace {

using namespace nmisafe;

constexpr x86::paging_format format = x86::format_of(paging);
constexpr uintptr_t entry_words = format.entry_size / sizeof(uintptr_t);
constexpr uintptr_t table_entries = page_size / format.entry_size;
constexpr bool is_pae = paging == x86::paging_mode::pae;
constexpr uintptr_t top_entries = is_pae ? 4 : table_entries;

constexpr uintptr_t entry_present = x86::page_entry::present;
constexpr uintptr_t entry_writable = x86::page_entry::writable;
constexpr uintptr_t entry_user = x86::page_entry::user;
constexpr uintptr_t entry_large = x86::page_entry::large;
constexpr uintptr_t entry_address = ~(page_size - 1); // no NX, no bits above the address are in use

constexpr uintptr_t no_execute_bit =
    sizeof(uintptr_t) == 8 ? uintptr_t{1} << (sizeof(uintptr_t) * 8 - 1) : 0;

constexpr uintptr_t index_at(uintptr_t address, unsigned level) {
    return address >> (12 + format.index_bits * level) & (table_entries - 1);
}

// Top-level entries from here on are shared.
constexpr uintptr_t first_shared_entry = index_at(KERNEL_DIRECT_BASE, format.levels - 1);

// A CPU reads PAE's top-level entries only when CR3 is loaded: the boot has made the one there is.
static_assert(!is_pae || first_shared_entry == top_entries - 1);

constexpr unsigned most_spaces = 32;

address_space spaces[most_spaces]; // but the kernel's
spinlock lock;
bool no_execute;
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
address_space shared_half; // the upper half of what user mode runs with
#endif

/// The low word of an entry; with PAE there is a high one, which stays 0.
uintptr_t& entry_at(uintptr_t table, uintptr_t index) {
    return static_cast<uintptr_t*>(physical_to_virtual(table))[index * entry_words];
}

/// What a link to a table allows. PAE's top level knows no permissions.
constexpr uintptr_t link_bits(unsigned level) {
    return entry_present | (is_pae && level == format.levels - 1 ? 0 : entry_writable);
}

constexpr bool has_user_links(unsigned level) {
    return !(is_pae && level == format.levels - 1);
}

/// Walks to a level, the last one being 0. With `create`, tables that lack are made.
uintptr_t* walk(const address_space& space, uintptr_t address, bool create, unsigned to = 0) {
    uintptr_t table = space.top_table;
    for (unsigned level = format.levels - 1; level != to; --level) {
        uintptr_t& entry = entry_at(table, index_at(address, level));
        if ((entry & entry_present) == 0) {
            if (!create)
                return nullptr;
            // The page's own entry decides whether user mode may access it.
            entry = allocate_page() | link_bits(level) |
                    (address < KERNEL_DIRECT_BASE && has_user_links(level) ? entry_user : 0);
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
            if (level == format.levels - 1 && space.task_table != 0 && address < KERNEL_DIRECT_BASE)
                entry_at(space.task_table, index_at(address, level)) = entry;
#endif
        }
        if ((entry & entry_large) != 0)
            return nullptr;
        table = entry & entry_address;
    }
    return &entry_at(table, index_at(address, to));
}

void copy_shared_entries(uintptr_t from, uintptr_t to) {
    for (uintptr_t entry = first_shared_entry; entry < top_entries; ++entry)
        entry_at(to, entry) = entry_at(from, entry);
}

address_space& unused_space() {
    for (address_space& candidate : spaces)
        if (candidate.top_table == 0)
            return candidate;
    panic("too many address spaces", nullptr, most_spaces);
}

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
/// All top-level entries of an area, and with them some of the tables below.
void make_tables(address_space& space, uintptr_t begin, uintptr_t size) {
    constexpr uintptr_t reach = uintptr_t{1} << (12 + format.index_bits * (format.levels - 1));
    for (uintptr_t offset = 0; offset < size; offset += reach)
        walk(space, begin + offset, true);
}
#endif

} // namespace

namespace internal {
constinit address_space kernel_space{};
}

[[KERNEL_JOIN_TEXT]] void set_up_no_execute() {
    if constexpr (paging == x86::paging_mode::two_level)
        return;
    constexpr uint32_t extended_features = 0x80000001; // EDX bit 20: NX [intel/vol2 CPUID]
    uint32_t a = 0x80000000;                           // EAX: the highest of these leaves
    uint32_t d;
    asm("cpuid" : "+a"(a), "=d"(d) : : "ebx", "ecx");
    if (a < extended_features)
        return;
    a = extended_features;
    asm("cpuid" : "+a"(a), "=d"(d) : : "ebx", "ecx");
    if ((d >> 20 & 1) == 0)
        return;
    x86::write_msr(X86_MSR_EFER, x86::read_msr(X86_MSR_EFER) | X86_EFER_NXE);
    no_execute = true;
}

bool has_no_execute() {
    return no_execute;
}

void set_up_address_spaces() {
    kernel_space().top_table = allocate_page();
    copy_shared_entries(x86::read_cr3() & entry_address, kernel_space().top_table);
    // The page area's tables are all made now: the top-level entries are then final, so that copies
    // in other address spaces never miss one, and a mapping made in a page fault allocates nothing.
    for (uintptr_t offset = 0; offset < KERNEL_PAGES_SIZE; offset += page_size * table_entries)
        walk(kernel_space(), KERNEL_PAGES_BASE + offset, true);
    switch_to(kernel_space());
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    // The top-level entries that it will ever have: address spaces copy them.
    shared_half.top_table = allocate_page();
    make_tables(shared_half, KERNEL_PAGES_BASE, KERNEL_TEST_PAGES_OFFSET);
    make_tables(shared_half, KERNEL_IMAGE_BASE,
                reinterpret_cast<uintptr_t>(kernel_image_end) - KERNEL_IMAGE_BASE);
#endif
}

address_space* create_address_space() {
    const uintptr_t top_table = allocate_page();
    copy_shared_entries(kernel_space().top_table, top_table);
    add_lazy_areas(top_table);
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    const uintptr_t task_table = allocate_page();
    copy_shared_entries(shared_half.top_table, task_table);
#endif
    const locked hold(lock);
    address_space& space = unused_space();
    space.top_table = top_table;
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    space.task_table = task_table;
#endif
    return &space;
}

void destroy_address_space(address_space* space) {
    for (uintptr_t entry = 0; entry < first_shared_entry; ++entry)
        if (entry_at(space->top_table, entry) != 0)
            panic("the low half of an address space is not empty", nullptr, entry);
    const uintptr_t top_table = space->top_table;
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    free_page(space->task_table);
    space->task_table = 0;
#endif
    {
        const locked hold(lock); // from here on for_each_top_table() leaves it out
        space->top_table = 0;
    }
    remove_lazy_areas(top_table);
    free_page(top_table);
}

uintptr_t* find_entry(const address_space& space, uintptr_t virtual_address, unsigned level) {
    return walk(space, virtual_address, false, level - 1);
}

namespace {

void map_with(address_space& space, uintptr_t virtual_address, uintptr_t physical, uintptr_t bits,
              bool executable) {
    const locked hold(lock);
    uintptr_t* const entry = walk(space, virtual_address, true);
    if (entry == nullptr || (*entry & entry_present) != 0)
        panic("page is mapped already", nullptr, virtual_address);
    const bool forbidden = !executable && no_execute;
    if (entry_words == 2 && forbidden)
        entry[entry_words - 1] = uintptr_t{1} << 31;
    *entry = (physical & entry_address) | entry_present | bits |
             (entry_words == 1 && forbidden ? no_execute_bit : 0);
}

} // namespace

void map(address_space& space, uintptr_t virtual_address, uintptr_t physical, bool writable) {
    map_with(space, virtual_address, physical, writable ? entry_writable : 0, true);
}

void map_user(address_space& space, uintptr_t virtual_address, uintptr_t physical, bool writable,
              bool executable) {
    map_with(space, virtual_address, physical, entry_user | (writable ? entry_writable : 0),
             executable);
}

void* user_memory(const address_space& space, uintptr_t virtual_address, bool writable) {
    if (virtual_address >= KERNEL_DIRECT_BASE)
        return nullptr;
    const uintptr_t* const entry = find_entry(space, virtual_address);
    const uintptr_t needed = entry_present | entry_user | (writable ? entry_writable : 0);
    if (entry == nullptr || (*entry & needed) != needed)
        return nullptr;
    const uintptr_t physical = *entry & entry_address & ~no_execute_bit;
    return static_cast<uint8_t*>(physical_to_virtual(physical)) + virtual_address % page_size;
}

#ifdef NMISAFE_SHADOW_STACK
void map_shadow_stack(address_space& space, uintptr_t virtual_address, uintptr_t physical) {
    map_with(space, virtual_address, physical, x86::page_entry::dirty, true); // dirty, not writable
}
#endif

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
void share_with_user_tables(uintptr_t begin, size_t size) {
    for (uintptr_t page = begin & ~(page_size - 1); page < begin + size; page += page_size) {
        // The image is mapped with large pages.
        const uintptr_t* const own = find_entry(kernel_space(), page);
        const uintptr_t physical = own != nullptr ? *own & entry_address : page - KERNEL_IMAGE_BASE;
        const uintptr_t* const there = find_entry(shared_half, page);
        if (there != nullptr && *there != 0)
            continue;
        constexpr uintptr_t writable = x86::page_entry::writable;
        constexpr uintptr_t dirty = x86::page_entry::dirty;
        const bool shadow_stack = own != nullptr && (*own & (writable | dirty)) == dirty;
        map_with(shared_half, page, physical, shadow_stack ? dirty : writable, !shadow_stack);
    }
}

void for_each_shared_page(void (*function)(uintptr_t page, void* argument), void* argument) {
    for (const uintptr_t begin : {uintptr_t{KERNEL_PAGES_BASE}, uintptr_t{KERNEL_IMAGE_BASE}})
        for (uintptr_t page = begin; page - begin < 0x4000'0000; page += page_size) {
            const uintptr_t* const entry = find_entry(shared_half, page);
            if (entry != nullptr && *entry != 0)
                function(page, argument);
        }
}
#endif

void unmap(address_space& space, uintptr_t virtual_address) {
    const locked hold(lock);
    uintptr_t* const entry = walk(space, virtual_address, false);
    if (entry == nullptr || (*entry & entry_present) == 0)
        panic("page is not mapped", nullptr, virtual_address);
    *entry = 0;
    x86::invalidate_page(reinterpret_cast<const void*>(virtual_address));
}

void for_each_top_table(void (*function)(uint64_t top_table, void* argument), void* argument) {
    function(kernel_space().top_table, argument);
    const locked hold(lock);
    for (const address_space& space : spaces)
        if (space.top_table != 0)
            function(space.top_table, argument);
}

} // namespace kernel
