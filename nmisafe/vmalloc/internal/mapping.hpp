// SPDX-License-Identifier: MIT
// How mappings are kept: in the entries of the last level alone, by the bits that are software's.
// So a mapping costs no memory but its pages and tables, and there is no list that could disagree
// with what is mapped.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/waiting.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/internal/tables.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"

namespace nmisafe::vmalloc::internal {

inline constexpr uint64_t is_first = page_entry::software_1; // of a mapping's pages
inline constexpr uint64_t is_last = page_entry::software_2;
inline constexpr uint64_t is_foreign = page_entry::software_3; // the page is the caller's: vmap()

/// The bits of a permission. Accessed and dirty are set here, so that no CPU ever does it.
inline uint64_t bits_of(permission may) {
    uint64_t bits = page_entry::accessed;
    if (may == permission::read_write)
        bits |= page_entry::writable | page_entry::dirty;
    if (may != permission::execute && contract::has_no_execute())
        bits |= page_entry::no_execute;
    return bits;
}
inline constexpr uint64_t write_bits = page_entry::writable | page_entry::dirty;

/// Walks along the last level of the kernel's own tables, from page to page.
class cursor {
  public:
    explicit cursor(uintptr_t address) : address_(address) { find(); }

    uintptr_t address() const { return address_; }
    bool has_table() const { return table_ != 0; }
    slot here() const { return {table_, index_of(address_, 1)}; }

    /// What stands there; 0 if there is not even a table.
    uint64_t load() const { return has_table() ? here().load() : 0; }

    void advance() {
        address_ += x86::page_size;
        if (index_of(address_, 1) == 0)
            find();
    }

    /// To the first page of the next table.
    void skip_table() {
        address_ = ((address_ >> shift_of(2)) + 1) << shift_of(2);
        find();
    }

  private:
    void find() { table_ = find_table(contract::kernel_top_table(), address_, 1); }

    uintptr_t address_;
    uint64_t table_ = 0;
};

/// The mapping lock, from construction to destruction.
class locked {
  public:
    locked() { contract::lock_mappings(); }
    ~locked() { contract::unlock_mappings(); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;
};

inline constexpr vmalloc_error no_error{};

/// Whether this is a place from which other CPUs may be waited for: for their flushes, or for the
/// lock, whose holder may be waiting for this CPU's flush.
inline vmalloc_error check_waiting() {
    switch (platform::waiting_here()) {
    case platform::waiting::allowed:
        return no_error;
    case platform::waiting::in_nmi:
        return vmalloc_error::in_nmi;
    case platform::waiting::not_here:
        break;
    }
    return vmalloc_error::cannot_synchronise;
}

/// What every call about an area looks at first.
inline vmalloc_error check(const area& where) {
    if (const vmalloc_error why = check_waiting(); why != no_error)
        return why;
    return where.is_valid(contract::paging) ? no_error : vmalloc_error::bad_area;
}

/// And all but set_up() then: whether the kernel's own tables reach down to the shared level. What
/// is made above it later, every address space lacks.
inline vmalloc_error check_set_up(const area& where) {
    if (const vmalloc_error why = check(where); why != no_error)
        return why;
    const uint64_t top = contract::kernel_top_table(); // 0: there is none yet
    return top != 0 && find_table(top, where.begin(), where.shared_level()) != 0
               ? no_error
               : vmalloc_error::not_set_up;
}

} // namespace nmisafe::vmalloc::internal
