// SPDX-License-Identifier: MIT
// A kernel address space on the fake platform, and a walk that is not the library's.
#pragma once

#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/vmalloc/area.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/paging.hpp"

#include <optional>

namespace nmisafe::vmalloc::test {

using platform_under_test = nmisafe_platform;
using x86::page_size;

inline constexpr x86::paging_format format = x86::format_of(nmisafe_platform::paging);

#if UINTPTR_MAX > 0xffffffff
inline constexpr area large(0xffff900000000000, 0xffff910000000000, 4);
inline constexpr area small(0xffffffffc0000000, 0xffffffffc4000000, 2);
inline constexpr area beside(0xffffffffc4000000, 0xffffffffc8000000, 2);
inline constexpr uintptr_t other_address = 0xffffffff80000000; // shares tables with `small`
#else
inline constexpr area large(0xf2000000, 0xf8000000, 2);
inline constexpr area small(0xf8000000, 0xf9000000, 2);
inline constexpr area beside(0xf9000000, 0xfa000000, 2);
inline constexpr uintptr_t other_address = 0xc0000000;
#endif

/// One entry of a table, as the manual has it.
inline uint64_t raw_entry(uint64_t table, uintptr_t index) {
    uint64_t value = 0;
    std::memcpy(&value,
                static_cast<const uint8_t*>(nmisafe_platform::memory.at(table)) +
                    index * format.entry_size,
                format.entry_size); // little-endian
    return value;
}

inline void set_raw_entry(uint64_t table, uintptr_t index, uint64_t value) {
    std::memcpy(static_cast<uint8_t*>(nmisafe_platform::memory.at(table)) +
                    index * format.entry_size,
                &value, format.entry_size);
}

inline uintptr_t index_at(uintptr_t address, unsigned level) {
    return address >> (12 + format.index_bits * (level - 1)) &
           ((uintptr_t{1} << format.index_bits) - 1);
}

/// The table of a level that an address space leads to.
inline std::optional<uint64_t> table_at(uint64_t top, uintptr_t address, unsigned level) {
    for (unsigned above = format.levels; above > level; --above) {
        const uint64_t entry = raw_entry(top, index_at(address, above));
        if ((entry & 1) == 0)
            return std::nullopt;
        top = entry & x86::page_entry::address;
    }
    return top;
}

/// The last-level entry if it is present.
inline std::optional<uint64_t> leaf_at(uint64_t top, uintptr_t address) {
    const auto table = table_at(top, address, 1);
    if (!table)
        return std::nullopt;
    const uint64_t entry = raw_entry(*table, index_at(address, 1));
    return (entry & 1) != 0 ? std::optional(entry) : std::nullopt;
}

struct kernel {
    kernel() {
        nmisafe_platform::reset();
        top = nmisafe_platform::kernel_top = nmisafe_platform::memory.allocate();
        nmisafe_platform::top_tables = {top};
        // Something that every address space has, on the way to the small areas.
        uint64_t table = top;
        for (unsigned level = format.levels; level > 2; --level) {
            const uint64_t made = nmisafe_platform::memory.allocate();
            set_raw_entry(table, index_at(other_address, level), made | 1);
            table = made;
        }
        set_raw_entry(table, index_at(other_address, 2), large_page);
        for (const area* one : {&large, &small, &beside})
            static_cast<void>(set_up(*one));
    }

    /// Another address space: what is shared by all, and nothing of the areas.
    uint64_t make_space() const {
        const uint64_t made = nmisafe_platform::memory.allocate();
        std::memcpy(nmisafe_platform::memory.at(made), nmisafe_platform::memory.at(top), page_size);
        nmisafe_platform::top_tables.push_back(made);
        return made;
    }

    static constexpr uint64_t large_page = 0x83;
    uint64_t top;
};

inline uintptr_t to_address(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

inline size_t pages_in_use() {
    return nmisafe_platform::memory.pages.size();
}

} // namespace nmisafe::vmalloc::test
