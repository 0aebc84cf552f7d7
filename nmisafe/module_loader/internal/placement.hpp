// SPDX-License-Identifier: MIT
/// What the layout says of sections and symbols while an object is loaded, and of the whole.
#pragma once

#include "nmisafe/module_loader/internal/object.hpp"

namespace nmisafe::module_loader::internal {

/// Of each section.
struct placement {
    union {
        uint32_t name_hash; ///< Until the sections are placed.
        uint64_t offset;    ///< In its segment.
    };
    uint32_t name_length;
    uint32_t next;   ///< The next section of the name; 0: none.
    uint32_t leader; ///< 1: the first section of the name.
    uint32_t later;  ///< The section whose functions are constructed, or destroyed, next; 0: none.
};

/// Of each symbol.
struct symbol_value {
    uint64_t value; ///< Of a common symbol, until its address is known: the offset in the segment.
    enum : uint32_t { unused, used, known } state;
    uint32_t slot; ///< Number of its slot in the global offset table, from 1; 0: none.
};

static_assert(sizeof(placement) == 24 && sizeof(symbol_value) <= 16,
              "README.md says how much working memory there is");

/// An entry of the directory. Addresses are those at which the module runs.
template <typename Elf>
struct directory_entry {
    typename Elf::address begin;
    typename Elf::address end;
    uint32_t name; ///< Offset of the name from the directory's begin.
};

/// Working memory for one object: load() gets it and gives it back.
template <typename Elf>
constexpr uint64_t working_size(const object<Elf>& of) {
    return uint64_t{of.section_count} * sizeof(placement) +
           uint64_t{of.symbol_count} * sizeof(symbol_value);
}

/// Offsets are in the read-only segment.
struct layout_result {
    uint64_t sizes[segment_count];
    uint64_t alignments[segment_count]; ///< Of the segments' begins; 0 and 1: none is asked for.
    uint64_t table;                     ///< The global offset table.
    uint32_t slot_count;
    uint32_t first_called[call_kinds]; ///< The first section with constructors, with destructors.
    uint32_t call_counts[call_kinds];  ///< Of entries in such sections, empty ones among them.
    uint64_t calls; ///< Room for the addresses of constructors, and behind them of destructors.
    uint64_t directory;
    uint32_t directory_count;
};

} // namespace nmisafe::module_loader::internal
