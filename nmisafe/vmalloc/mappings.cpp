// SPDX-License-Identifier: MIT
// Mappings are made and torn down.
//
//   made       pages are taken, tables are made, then the entries are set: nothing can fail by then
//   torn down  the entries cease to be present, all TLBs are flushed, then the entries are emptied
//              and the pages given back. Until an entry is empty nobody is given its address again.
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/vmalloc/internal/mapping.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"

namespace nmisafe::vmalloc {

#ifdef NMISAFE_VMALLOC_CONTROLS
constinit bool present_word_first = false;
#endif

static_assert(platform::check_vmalloc_contract<platform::contract>());

namespace {

using namespace internal;
using base::expected;
using base::unexpected;
using x86::page_size;

/// Pages that have been taken and not been mapped yet: each holds the address of the next one in
/// its first word. What is left is given back.
class page_chain {
  public:
    page_chain() = default;
    ~page_chain() {
        while (first_ != 0)
            contract::free_page(take());
    }
    page_chain(const page_chain&) = delete;
    page_chain& operator=(const page_chain&) = delete;

    /// False: no memory.
    bool add() {
        const uint64_t page = contract::allocate_page();
        if (page == 0)
            return false;
        link_in(page) = first_;
        first_ = page;
        return true;
    }

    /// A page, zeroed.
    uint64_t take() {
        const uint64_t page = first_;
        first_ = link_in(page);
        link_in(page) = 0;
        return page;
    }

  private:
    static uint64_t& link_in(uint64_t page) {
        return *static_cast<uint64_t*>(contract::page_at(page));
    }

    uint64_t first_ = 0;
};

/// The lowest address with `pages` free pages from there on, and a free page on both sides; 0 if
/// there is none. Looks at each entry below it, and at tables that do not exist as a whole.
uintptr_t find_gap(const area& where, size_t pages) {
    const size_t needed = (pages + 2) * page_size;
    uintptr_t begin = where.begin(); // of the free pages that `at` is behind
    cursor at(begin);
    while (where.end() - begin >= needed) {
        if (at.address() - begin >= needed)
            return begin + page_size;
        if (!at.has_table()) {
            at.skip_table();
            continue;
        }
        const bool is_free = at.load() == 0;
        at.advance();
        if (!is_free)
            begin = at.address();
    }
    return 0;
}

/// Makes the tables for so many pages. @return the error, or none.
vmalloc_error make_tables(uintptr_t begin, size_t pages) {
    for (size_t i = 0; i < pages; ++i) {
        const uintptr_t address = begin + i * page_size;
        if (i != 0 && index_of(address, 1) != 0)
            continue;
        if (const auto made = make_table(contract::kernel_top_table(), address, 1); !made)
            return made.error();
    }
    return no_error;
}

/// Whether a physical address is a page's that an entry can hold.
bool is_page(uint64_t address) {
    return address == table_of(address) &&
           (split_entries || address == static_cast<entry_word>(address));
}

/// Sets the entries of a mapping; `next_page` gives its pages, one after the other.
template <typename NextPage>
void enter(uintptr_t begin, size_t pages, uint64_t bits, NextPage next_page) {
    cursor at(begin);
    for (size_t i = 0; i < pages; ++i) {
        const uint64_t place = (i == 0 ? is_first : 0) | (i + 1 == pages ? is_last : 0);
        at.here().set(next_page(i) | bits | place | page_entry::present);
        at.advance();
    }
}

/// The pages of the mapping that begins at an address; 0 if none does.
size_t count_pages(const area& where, uintptr_t begin) {
    if (!where.contains(begin) || begin % page_size != 0)
        return 0;
    cursor at(begin);
    uint64_t value = at.load();
    if (!is_present(value) || (value & is_first) == 0)
        return 0;
    size_t pages = 1;
    for (; (value & is_last) == 0; ++pages) {
        at.advance();
        value = at.load();
    }
    return pages;
}

bool is_foreign_mapping(uintptr_t begin) {
    return (cursor(begin).load() & is_foreign) != 0;
}

void change_all(uintptr_t begin, size_t pages, uint64_t take, uint64_t add) {
    cursor at(begin);
    for (size_t i = 0; i < pages; ++i, at.advance())
        at.here().change(take, add);
}

void flush(uintptr_t begin, size_t pages) {
    contract::flush_tlb(begin, begin + pages * page_size);
}

expected<size_t, vmalloc_error> tear_down(const area& where, const void* address, bool foreign) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return unexpected(why);
    const locked hold;
    const auto begin = reinterpret_cast<uintptr_t>(address);
    const size_t pages = count_pages(where, begin);
    if (pages == 0 || is_foreign_mapping(begin) != foreign)
        return unexpected(vmalloc_error::not_mapped);
    cursor at(begin);
    for (size_t i = 0; i < pages; ++i, at.advance())
        at.here().change(page_entry::present, 0);
    flush(begin, pages);
    at = cursor(begin);
    for (size_t i = 0; i < pages; ++i, at.advance()) {
        const uint64_t page = table_of(at.load());
        at.here().clear();
        if (!foreign)
            contract::free_page(page);
    }
    return pages * page_size;
}

void* to_pointer(uintptr_t address) {
    return reinterpret_cast<void*>(address);
}

} // namespace

expected<void*, vmalloc_error> vmalloc(const area& where, size_t size, permission may) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return unexpected(why);
    if (size == 0 || size > where.end() - where.begin())
        return unexpected(vmalloc_error::bad_size);
    const size_t pages = (size - 1) / page_size + 1;
    page_chain memory;
    const locked hold;
    const uintptr_t begin = find_gap(where, pages);
    if (begin == 0)
        return unexpected(vmalloc_error::no_space);
    for (size_t i = 0; i < pages; ++i)
        if (!memory.add())
            return unexpected(vmalloc_error::no_memory);
    if (const vmalloc_error why = make_tables(begin, pages); why != no_error)
        return unexpected(why);
    enter(begin, pages, bits_of(may), [&](size_t) { return memory.take(); });
    return to_pointer(begin);
}

expected<size_t, vmalloc_error> vfree(const area& where, const void* address) {
    return tear_down(where, address, false);
}

expected<void*, vmalloc_error> vmap(const area& where, const uint64_t* pages, size_t count,
                                    permission may) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return unexpected(why);
    if (count == 0 || count > (where.end() - where.begin()) / page_size)
        return unexpected(vmalloc_error::bad_size);
    for (size_t i = 0; i < count; ++i)
        if (!is_page(pages[i]))
            return unexpected(vmalloc_error::bad_page);
    const locked hold;
    const uintptr_t begin = find_gap(where, count);
    if (begin == 0)
        return unexpected(vmalloc_error::no_space);
    if (const vmalloc_error why = make_tables(begin, count); why != no_error)
        return unexpected(why);
    enter(begin, count, bits_of(may) | is_foreign, [&](size_t i) { return pages[i]; });
    return to_pointer(begin);
}

expected<size_t, vmalloc_error> vunmap(const area& where, const void* address) {
    return tear_down(where, address, true);
}

expected<size_t, vmalloc_error> set_permission(const area& where, const void* address,
                                               permission may) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return unexpected(why);
    const locked hold;
    const auto begin = reinterpret_cast<uintptr_t>(address);
    const size_t pages = count_pages(where, begin);
    if (pages == 0)
        return unexpected(vmalloc_error::not_mapped);
    // What is taken away first, on all CPUs, and only then what is added: so no CPU writes what
    // another one executes. That a mapping may not be executed counts as taken away.
    const uint64_t wanted = bits_of(may);
    change_all(begin, pages, write_bits & ~wanted, page_entry::no_execute & wanted);
    flush(begin, pages);
    change_all(begin, pages, page_entry::no_execute & ~wanted, wanted);
    return pages * page_size;
}

} // namespace nmisafe::vmalloc
