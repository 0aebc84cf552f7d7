// SPDX-License-Identifier: MIT
/// Changes of one field of one ELF structure to a value that is likely to be at a border.
#pragma once

#include "nmisafe/module_loader/internal/elf.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace nmisafe::module_loader::fuzz {

using namespace internal;

inline bool is_class_32(const uint8_t* data, size_t size) {
    return size > elf::ident_class && data[elf::ident_class] == elf_32::class_number;
}

struct table {
    size_t begin, entry_size, count;
};

/// The header, the section headers, and each symbol table, relocation section and section group, as
/// far as they lie in the file.
template <typename Elf>
std::vector<table> tables_of(const uint8_t* data, size_t size) {
    using section = typename Elf::section;
    if (size < sizeof(typename Elf::header))
        return {};
    const auto& header = *reinterpret_cast<const typename Elf::header*>(data);
    std::vector<table> tables{{0, sizeof header, 1}};
    const uint64_t begin = header.section_headers;
    if (begin > size)
        return tables;
    const size_t count = std::min<size_t>(header.section_count, (size - begin) / sizeof(section));
    tables.push_back({begin, sizeof(section), count});
    const auto* const sections = reinterpret_cast<const section*>(data + begin);
    for (size_t i = 0; i < count; ++i) {
        const section& one = sections[i];
        size_t entry = 0;
        if (one.type == elf::symtab)
            entry = sizeof(typename Elf::symbol);
        else if (one.type == Elf::relocation_section)
            entry = sizeof(typename Elf::relocation);
        else if (one.type == elf::group)
            entry = sizeof(elf_word);
        if (entry != 0 && one.offset <= size && one.size <= size - one.offset && one.size >= entry)
            tables.push_back({one.offset, entry, one.size / entry});
    }
    return tables;
}

inline uint64_t border_value(std::minstd_rand& random, uint64_t old, size_t size) {
    switch (random() % 8) {
    case 0:
        return random() % 4;
    case 1:
        return old + 1;
    case 2:
        return old - 1;
    case 3:
        return size - random() % 16;
    case 4:
        return uint64_t{1} << (random() % 64);
    case 5:
        return ~uint64_t{0} - random() % 16;
    case 6:
        return old ^ (uint64_t{1} << (random() % 32));
    default:
        return random() % size;
    }
}

inline void change_field(uint8_t* data, size_t size, std::minstd_rand& random) {
    const auto tables =
        is_class_32(data, size) ? tables_of<elf_32>(data, size) : tables_of<elf_64>(data, size);
    if (tables.empty())
        return;
    const table& which = tables[random() % tables.size()];
    if (which.count == 0)
        return;
    const size_t begin = which.begin + random() % which.count * which.entry_size;
    const size_t width = std::min(size_t{1} << (random() % 4), which.entry_size);
    const size_t at = begin + random() % (which.entry_size / width) * width;
    uint64_t value = 0;
    std::memcpy(&value, data + at, width);
    value = border_value(random, value, size);
    std::memcpy(data + at, &value, width);
}

} // namespace nmisafe::module_loader::fuzz
