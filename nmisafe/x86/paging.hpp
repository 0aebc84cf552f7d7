// SPDX-License-Identifier: MIT
/// Page tables as the CPU reads them: the three formats in which the library is used.
/// [intel/vol3 4.2 to 4.5]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/flags.h"

namespace nmisafe::x86 {

enum class paging_mode : uint8_t {
    two_level,  ///< x86-32 without PAE. No page can be kept from being executed.
    pae,        ///< x86-32 with PAE.
    four_level, ///< x86-64.
};

inline constexpr uintptr_t page_size = 4096;

/// What the levels of a mode look like. Levels are counted from 1, the page table, up to the one
/// that CR3 leads to.
struct paging_format {
    unsigned levels;
    unsigned index_bits; ///< Of all levels but PAE's third, which has 2.
    unsigned entry_size; ///< In bytes.
};

constexpr paging_format format_of(paging_mode mode) {
    switch (mode) {
    case paging_mode::two_level:
        return {2, 10, 4};
    case paging_mode::pae:
        return {3, 9, 8};
    case paging_mode::four_level:
        break;
    }
    return {4, 9, 8};
}

/// The bits of an entry that are the same at every level. PAE's third level has only `present`
/// and the address; there all others are reserved.
namespace page_entry {
inline constexpr uint64_t present = 1 << 0;
inline constexpr uint64_t writable = 1 << 1;
inline constexpr uint64_t user = 1 << 2;
inline constexpr uint64_t accessed = 1 << 5;
inline constexpr uint64_t dirty = 1 << 6;
inline constexpr uint64_t large = 1 << 7; ///< Not in a page table.
/// Ignored by the CPU in every present entry, as all but bit 0 are in one that is not.
inline constexpr uint64_t software_1 = 1 << 9;
inline constexpr uint64_t software_2 = 1 << 10;
inline constexpr uint64_t software_3 = 1 << 11;
inline constexpr uint64_t no_execute = uint64_t{1} << 63; ///< Reserved unless EFER.NXE is set.
inline constexpr uint64_t address = 0x000ffffffffff000;
} // namespace page_entry

/// The error code of #PF. [intel/vol3 4.7]
namespace page_fault_error {
inline constexpr uintptr_t present = 1 << 0; ///< The page is there, the access is not allowed.
inline constexpr uintptr_t write = 1 << 1;
inline constexpr uintptr_t user = 1 << 2;
inline constexpr uintptr_t reserved = 1 << 3; ///< An entry has a reserved bit set.
inline constexpr uintptr_t fetch = 1 << 4;    ///< Only with EFER.NXE, or CR4.SMEP.
inline constexpr uintptr_t known = 0x1f;      ///< All of the above.
} // namespace page_fault_error

} // namespace nmisafe::x86
