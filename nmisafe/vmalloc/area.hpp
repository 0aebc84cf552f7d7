// SPDX-License-Identifier: MIT
/// A range of the kernel's half of all address spaces in which mappings come and go, and how the
/// address spaces share it.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/vmalloc/vmalloc_error.hpp"
#include "nmisafe/x86/paging.hpp"

namespace nmisafe::vmalloc {

/// Page tables are trees. At one level of the tree, the *shared level*, every address space has a
/// table of its own for the area, and the entries of all of them lead to the same lower tables, the
/// kernel's. A new entry there reaches an address space when that first faults on it:
/// handle_fault() copies it. Lower tables, once made, are never given back: so an entry that was
/// copied is right for good, and to tear a mapping down means to clear the last level, which is the
/// same for all, and to flush TLBs.
///
/// Level 4 is the PML4 of x86-64, 512 GiB an entry; 2 a page directory: 2 MiB, without PAE 4 MiB.
/// Above the shared level each address space needs tables of its own on the way to the area; for
/// the topmost level there are none. With PAE the topmost level cannot be the shared one: the CPU
/// reads its entries only when CR3 is loaded. [intel/vol3 4.4.1]
///
/// All state of an area is in the page tables.
class area {
  public:
    /// Both ends are multiples of what an entry of the shared level covers, or multiples of a page,
    /// and what else is in that entry never changes. Above the shared level, all of the area is in
    /// one entry; on x86-64, in one half of the address space. The last page table of the address
    /// space is not in it. The shared level is 2 or above.
    constexpr area(uintptr_t begin, uintptr_t end, unsigned shared_level)
        : begin_(begin), end_(end), shared_level_(shared_level) {}

    // @context any
    constexpr uintptr_t begin() const { return begin_; }
    constexpr uintptr_t end() const { return end_; }
    [[NMISAFE_TRAP_INLINE]] constexpr unsigned shared_level() const { return shared_level_; }
    [[NMISAFE_TRAP_INLINE]] constexpr bool contains(uintptr_t address) const {
        return address - begin_ < end_ - begin_;
    }

    /// Whether all of these rules are kept that can be seen from here: for a static_assert where
    /// the area is defined. Who gives an area that does not keep them to a function below, or of
    /// vmalloc.hpp, reads `bad_area`; only the two that any context may call do not look.
    /// @context any
    constexpr bool is_valid(x86::paging_mode mode) const {
        const x86::paging_format format = x86::format_of(mode);
        const unsigned highest = mode == x86::paging_mode::pae ? format.levels - 1 : format.levels;
        if (begin_ >= end_ || (begin_ | end_) % x86::page_size != 0 || shared_level_ < 2 ||
            shared_level_ > highest)
            return false;
        // Of 64 bits on either width, so that no shift is by more than a word has.
        const uint64_t first = begin_;
        const uint64_t last = end_ - 1;
        const auto in_one = [&](unsigned shift) { return first >> shift == last >> shift; };
        const auto covered_by = [&](unsigned level) {
            return 12 + format.index_bits * (level - 1);
        };
        const bool is_wide = mode == x86::paging_mode::four_level;
        const uint64_t highest_address = is_wide ? ~uint64_t{0} : ~uint32_t{0};
        if (last > highest_address || last >> covered_by(2) == highest_address >> covered_by(2))
            return false;
        constexpr unsigned sign_shift = 47; // canonical: from this bit on all are the same
        if (is_wide &&
            (!in_one(sign_shift) || (first >> sign_shift != 0 && ~first >> sign_shift != 0)))
            return false;
        return shared_level_ == format.levels || in_one(covered_by(shared_level_ + 1));
    }

  private:
    uintptr_t begin_;
    uintptr_t end_;
    unsigned shared_level_;
};

/// Makes the kernel's own tables for an area, down to the shared level. Before any address space
/// but the kernel's is made, and before anything else is asked for the area.
///
/// With PAE the entry of the kernel's top-level table must be there: a CPU reads those only when
/// CR3 is loaded, so one made now would stay unknown to each CPU that has the table loaded, and an
/// access would fault without end, in an NMI handler too. Who makes that table fills in what covers
/// the kernel's half before any CPU loads it; else `no_top_entry`, and nothing has changed.
/// @context thread, interrupts on @locks the mapping lock, as all that follow @return 0; or
/// no_memory, large_page.
base::expected<size_t, vmalloc_error> set_up(const area& where);

/// Prepares another address space: gives it tables of its own above the shared level, in which what
/// is not the area's is as in the kernel's, and none of the area's mappings. `top_table` is what
/// its CR3 will be; no CPU uses it yet, and it has the kernel's top-level entries. Areas may have
/// such tables in common.
/// @context thread, interrupts on @return the pages it took; or no_memory: then give what
/// was made back by remove_from().
base::expected<size_t, vmalloc_error> add_to(uint64_t top_table, const area& where);

/// Gives those tables back, also those in common with other areas. No CPU uses the address space
/// any more. @context thread, interrupts on @return the pages given back.
base::expected<size_t, vmalloc_error> remove_from(uint64_t top_table, const area& where);

/// For those who want no faults: brings all address spaces up to date. Mappings made later need it
/// again, if they are the first in their entry, and so do address spaces made later.
/// @context thread, interrupts on @return the entries copied.
base::expected<size_t, vmalloc_error> vmalloc_sync_mappings(const area& where);

} // namespace nmisafe::vmalloc
