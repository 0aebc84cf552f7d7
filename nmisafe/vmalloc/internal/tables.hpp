// SPDX-License-Identifier: MIT
// Entries of page tables, read and written while CPUs walk them.
//
// All of it is inlined: handle_fault() stands in the no-probe section with everything it uses.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/vmalloc/controls.hpp"
#include "nmisafe/vmalloc/vmalloc_error.hpp"
#include "nmisafe/x86/paging.hpp"

namespace nmisafe::vmalloc::internal {

using platform::contract;
namespace page_entry = x86::page_entry;

inline constexpr x86::paging_format format = x86::format_of(contract::paging);
inline constexpr bool is_pae = contract::paging == x86::paging_mode::pae;
inline constexpr unsigned page_shift = 12;

/// One entry. On x86-32 with PAE it is two words, and no store writes both. So the word with the
/// present bit is written last when an entry becomes valid, and first when it ceases to be: a CPU
/// that walks the tables never sees half of a valid entry. [intel/vol3 4.10.4.4 does the same]
#ifdef __x86_64__
using entry_word = uint64_t;
inline constexpr bool split_entries = false;
#else
using entry_word = uint32_t;
inline constexpr bool split_entries = is_pae;
#endif

/// An entry's place in a table.
class slot {
  public:
    [[NMISAFE_TRAP_INLINE]] slot(uint64_t table, uintptr_t index)
        : words_(static_cast<entry_word*>(contract::page_at(table)) +
                 index * (split_entries ? 2 : 1)) {}

    [[NMISAFE_TRAP_INLINE]] uint64_t load() const {
        const uint64_t low = __atomic_load_n(&words_[0], __ATOMIC_ACQUIRE);
        if constexpr (split_entries)
            return low | uint64_t{__atomic_load_n(&words_[1], __ATOMIC_ACQUIRE)} << 32;
        return low;
    }

    /// Makes an entry that is not present valid. Release: what it leads to is there before.
    [[NMISAFE_TRAP_INLINE]] void set(uint64_t value) const {
        if constexpr (split_entries) {
            if (present_word_first) // a control
                __atomic_store_n(&words_[0], static_cast<entry_word>(value), __ATOMIC_RELEASE);
            __atomic_store_n(&words_[1], static_cast<entry_word>(value >> 32), __ATOMIC_RELEASE);
        }
        __atomic_store_n(&words_[0], static_cast<entry_word>(value), __ATOMIC_RELEASE);
    }

    /// Takes bits away, and only then adds some. One step for each word, against the CPU's own
    /// setting of the accessed and dirty bits.
    void change(uint64_t take, uint64_t add) const {
        static_cast<void>(
            __atomic_and_fetch(&words_[0], static_cast<entry_word>(~take), __ATOMIC_SEQ_CST));
        if constexpr (split_entries) {
            const auto high = static_cast<entry_word>(take >> 32);
            static_cast<void>(
                __atomic_and_fetch(&words_[1], static_cast<entry_word>(~high), __ATOMIC_SEQ_CST));
            static_cast<void>(__atomic_or_fetch(&words_[1], static_cast<entry_word>(add >> 32),
                                                __ATOMIC_SEQ_CST));
        }
        static_cast<void>(
            __atomic_or_fetch(&words_[0], static_cast<entry_word>(add), __ATOMIC_SEQ_CST));
    }

    /// Empties an entry that is not present.
    void clear() const {
        __atomic_store_n(&words_[0], entry_word{0}, __ATOMIC_RELEASE);
        if constexpr (split_entries)
            __atomic_store_n(&words_[1], entry_word{0}, __ATOMIC_RELEASE);
    }

  private:
    entry_word* words_;
};

/// Bytes that an entry of a level covers, as a power of two.
[[NMISAFE_TRAP_INLINE]] constexpr unsigned shift_of(unsigned level) {
    return page_shift + format.index_bits * (level - 1);
}

[[NMISAFE_TRAP_INLINE]] constexpr uintptr_t index_of(uintptr_t address, unsigned level) {
    return address >> shift_of(level) & ((uintptr_t{1} << format.index_bits) - 1);
}

[[NMISAFE_TRAP_INLINE]] constexpr bool is_present(uint64_t value) {
    return (value & page_entry::present) != 0;
}

[[NMISAFE_TRAP_INLINE]] constexpr uint64_t table_of(uint64_t value) {
    return value & page_entry::address;
}

/// What leads to a table. PAE's third level knows no permissions.
[[NMISAFE_TRAP_INLINE]] constexpr uint64_t link_to(uint64_t table, unsigned level) {
    return table | page_entry::present |
           (is_pae && level == format.levels ? 0 : page_entry::writable);
}

/// The table of `level` on the way to an address, from a table of level `from` on; 0 if the way
/// ends above, or in a large page.
[[NMISAFE_TRAP_INLINE]] inline uint64_t find_table(uint64_t table, uintptr_t address,
                                                   unsigned level, unsigned from = format.levels) {
    table &= page_entry::address; // what CR3 holds beside it
    for (; from != level; --from) {
        const uint64_t value = slot(table, index_of(address, from)).load();
        if (!is_present(value) || (value & page_entry::large) != 0)
            return 0;
        table = table_of(value);
    }
    return table;
}

/// The same, and makes what is missing; but not PAE's top-level entries, which CPUs read only when
/// CR3 is loaded.
inline base::expected<uint64_t, vmalloc_error> make_table(uint64_t top, uintptr_t address,
                                                          unsigned level) {
    uint64_t table = top & page_entry::address;
    for (unsigned above = format.levels; above != level; --above) {
        const slot link(table, index_of(address, above));
        const uint64_t value = link.load();
        if (is_present(value)) {
            if ((value & page_entry::large) != 0)
                return base::unexpected(vmalloc_error::large_page);
            table = table_of(value);
            continue;
        }
        if (is_pae && above == format.levels)
            return base::unexpected(vmalloc_error::no_top_entry);
        const uint64_t made = contract::allocate_page();
        if (made == 0)
            return base::unexpected(vmalloc_error::no_memory);
        link.set(link_to(made, above));
        table = made;
    }
    return table;
}

} // namespace nmisafe::vmalloc::internal
