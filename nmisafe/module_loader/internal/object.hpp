// SPDX-License-Identifier: MIT
/// An object in memory. check.hpp fills it in, and from then on what it says may be relied on.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/module_loader/internal/elf.hpp"

namespace nmisafe::module_loader::internal {

/// The three mappings of a module.
enum segment : uint8_t { code_segment, read_only_segment, data_segment };
inline constexpr size_t segment_count = 3;

/// What is done with the functions whose addresses a section has.
enum call_kind : uint8_t { constructors, destructors, not_called };
inline constexpr size_t call_kinds = 2;

template <typename Elf>
struct object {
    using section = typename Elf::section;
    using symbol = typename Elf::symbol;
    using relocation = typename Elf::relocation;

    const uint8_t* bytes;
    uint64_t size;
    const section* sections = nullptr;
    uint32_t section_count = 0;
    const char* section_names = nullptr;
    uint64_t section_names_size = 0;
    uint32_t symbol_section = 0; ///< Index of the symbol table; 0: there is none.
    const symbol* symbols = nullptr;
    uint32_t symbol_count = 0;
    const char* symbol_names = nullptr;
    uint64_t symbol_names_size = 0;

    bool contains(uint64_t offset, uint64_t length) const {
        return offset <= size && length <= size - offset;
    }
    template <typename T>
    const T* at(uint64_t offset) const {
        return reinterpret_cast<const T*>(bytes + static_cast<size_t>(offset));
    }

    bool is_loaded(uint32_t index) const { return (sections[index].flags & elf::alloc) != 0; }
    /// A relocation section whose relocations count: those for debuggers do not.
    bool has_relocations(uint32_t index) const {
        const section& table = sections[index];
        return (table.type == elf::rel || table.type == elf::rela) && is_loaded(table.info);
    }
    const char* section_name(uint32_t index) const { return section_names + sections[index].name; }
    const char* symbol_name(uint32_t index) const { return symbol_names + symbols[index].name; }
    /// Whether a symbol is defined by a section. Not by a reserved index: check.hpp lets no object
    /// have so many sections.
    bool is_in_section(uint32_t index) const {
        return symbols[index].section != elf::undefined && symbols[index].section < section_count;
    }
    uint8_t binding(uint32_t index) const { return symbols[index].info >> 4; }
    uint8_t type(uint32_t index) const { return symbols[index].info & 0xf; }

    /// Of a section that is loaded.
    segment segment_of(uint32_t index) const {
        if ((sections[index].flags & elf::execinstr) != 0)
            return code_segment;
        return (sections[index].flags & elf::write) != 0 ? data_segment : read_only_segment;
    }
};

/// Both strings are terminated.
inline bool same_string(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b)
        if (*a == 0)
            return true;
    return false;
}

/// Of a terminated string.
inline uint64_t length_of(const char* text) {
    uint64_t length = 0;
    while (text[length] != 0)
        ++length;
    return length;
}

} // namespace nmisafe::module_loader::internal
