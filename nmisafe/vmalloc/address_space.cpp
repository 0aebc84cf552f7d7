// SPDX-License-Identifier: MIT
// The tables that address spaces have of their own above an area's shared level, and the entries at
// it. area.hpp says how they fit together.
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/internal/mapping.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"

namespace nmisafe::vmalloc {

namespace {

using namespace internal;
using base::expected;
using base::unexpected;

constexpr uintptr_t table_entries(unsigned level) {
    return is_pae && level == format.levels ? 4 : uintptr_t{1} << format.index_bits;
}

/// The entries of the shared level that are an area's, in every table.
struct entry_range {
    uintptr_t first;
    uintptr_t last;

    explicit entry_range(const area& where)
        : first(index_of(where.begin(), where.shared_level())),
          last(index_of(where.end() - 1, where.shared_level())) {}
};

/// A copy of one of the kernel's tables. 0: no memory.
uint64_t copy_table(uint64_t kernels, unsigned level) {
    const uint64_t made = contract::allocate_page();
    if (made == 0)
        return 0;
    for (uintptr_t i = 0; i < table_entries(level); ++i)
        if (const uint64_t value = slot(kernels, i).load(); value != 0)
            slot(made, i).set(value);
    return made;
}

/// The number of present entries that `target` lacks, which are copied to it.
size_t copy_missing(uint64_t kernels, uint64_t target, const entry_range& range) {
    size_t copied = 0;
    for (uintptr_t i = range.first; i <= range.last; ++i) {
        const uint64_t value = slot(kernels, i).load();
        const slot entry(target, i);
        if (!is_present(value) || is_present(entry.load()))
            continue;
        entry.set(value);
        ++copied;
    }
    return copied;
}

struct synchronisation {
    const area& where;
    size_t copied;
};

void synchronise_space(uint64_t top_table, void* argument) {
    auto& work = *static_cast<synchronisation*>(argument);
    const uintptr_t begin = work.where.begin();
    const unsigned level = work.where.shared_level();
    const uint64_t kernels = find_table(contract::kernel_top_table(), begin, level);
    const uint64_t target = find_table(top_table, begin, level);
    if (kernels != 0 && target != 0)
        work.copied += copy_missing(kernels, target, entry_range(work.where));
}

/// Whether that can be another address space, of which the area can be made part.
vmalloc_error check_space(uint64_t top_table, const area& where) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return why;
    const uint64_t table = table_of(top_table); // without what CR3 holds beside it
    if (table == 0)
        return vmalloc_error::bad_page;
    return table == table_of(contract::kernel_top_table()) ? vmalloc_error::kernel_space : no_error;
}

} // namespace

expected<size_t, vmalloc_error> set_up(const area& where) {
    if (const vmalloc_error why = check(where); why != no_error)
        return unexpected(why);
    const uint64_t top = contract::kernel_top_table();
    if (top == 0)
        return unexpected(vmalloc_error::bad_page);
    const locked hold;
    const auto made = make_table(top, where.begin(), where.shared_level());
    if (!made)
        return unexpected(made.error());
    return size_t{0};
}

expected<size_t, vmalloc_error> add_to(uint64_t top_table, const area& where) {
    if (const vmalloc_error why = check_space(top_table, where); why != no_error)
        return unexpected(why);
    const locked hold;
    size_t pages = 0;
    uint64_t mine = table_of(top_table);
    uint64_t kernels = contract::kernel_top_table();
    for (unsigned level = format.levels; level != where.shared_level(); --level) {
        const uintptr_t index = index_of(where.begin(), level);
        const uint64_t shared = table_of(slot(kernels, index).load());
        const slot link(mine, index);
        uint64_t own = table_of(link.load());
        if (own == 0 || own == shared) {
            own = copy_table(shared, level - 1);
            if (own == 0)
                return unexpected(vmalloc_error::no_memory);
            link.change(page_entry::present, 0);
            link.set(link_to(own, level));
            ++pages;
        }
        mine = own;
        kernels = shared;
    }
    const entry_range range(where);
    for (uintptr_t i = range.first; i <= range.last; ++i) {
        slot(mine, i).change(page_entry::present, 0);
        slot(mine, i).clear();
    }
    return pages;
}

expected<size_t, vmalloc_error> remove_from(uint64_t top_table, const area& where) {
    if (const vmalloc_error why = check_space(top_table, where); why != no_error)
        return unexpected(why);
    const locked hold;
    size_t pages = 0;
    // The lowest table first: the way to it goes through the others.
    for (unsigned level = where.shared_level(); level != format.levels; ++level) {
        const uint64_t own = find_table(top_table, where.begin(), level);
        if (own == 0 || own == find_table(contract::kernel_top_table(), where.begin(), level))
            continue;
        const uint64_t parent = find_table(top_table, where.begin(), level + 1);
        const slot link(parent, index_of(where.begin(), level + 1));
        link.change(page_entry::present, 0);
        link.clear();
        contract::free_page(own);
        ++pages;
    }
    return pages;
}

expected<size_t, vmalloc_error> vmalloc_sync_mappings(const area& where) {
    if (const vmalloc_error why = check_set_up(where); why != no_error)
        return unexpected(why);
    const locked hold;
    synchronisation work{where, 0};
    contract::for_each_top_table(synchronise_space, &work);
    return work.copied;
}

} // namespace nmisafe::vmalloc
