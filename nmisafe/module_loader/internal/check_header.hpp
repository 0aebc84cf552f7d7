// SPDX-License-Identifier: MIT
/// The first look at an object: whether it is one, for this machine, and where its sections are.
#pragma once

#include "nmisafe/module_loader/internal/controls.hpp"
#include "nmisafe/module_loader/internal/object.hpp"
#include "nmisafe/module_loader/load_error.hpp"

namespace nmisafe::module_loader::internal {

/// Limit of an image, of each segment and of each alignment: so no sum below overflows.
inline constexpr uint64_t maximum_size = uint64_t{1} << 30;
inline constexpr uint64_t page_size = 4096;

/// The strings of a string table, which end.
template <typename Elf>
load_error find_strings(const object<Elf>& in, uint32_t index, const char*& text, uint64_t& size) {
    const auto& table = in.sections[index];
    if (table.type != elf::strtab || table.size == 0)
        return load_error::bad_string_table;
    if (!in.contains(table.offset, table.size))
        return load_error::truncated;
    text = in.template at<char>(table.offset);
    size = table.size;
    if (text[size - 1] != 0 && !is_left_out(check::string_end))
        return load_error::bad_string_table;
    return {};
}

template <typename Elf>
class header_checker {
  public:
    explicit header_checker(object<Elf>& checked) : object_(checked) {}

    /// The error, or none: then the sections and their names are known.
    load_error check() {
        if (object_.size > maximum_size)
            return load_error::too_large;
        if (begins_with(elf::bitcode_magic) || begins_with(elf::wrapped_bitcode_magic))
            return load_error::intermediate_code;
        if (object_.size < sizeof(header))
            return load_error::truncated;
        if (!begins_with(elf::magic))
            return load_error::not_elf;
        const auto& first = *object_.template at<header>(0);
        if (const load_error why = check_kind(first); why != load_error{})
            return why;
        return find_sections(first);
    }

  private:
    using header = typename Elf::header;
    using section = typename Elf::section;

    bool begins_with(const uint8_t (&magic)[4]) const {
        for (size_t i = 0; i < sizeof magic; ++i)
            if (i >= object_.size || object_.bytes[i] != magic[i])
                return false;
        return true;
    }

    static load_error check_kind(const header& first) {
        if (first.ident[elf::ident_class] != Elf::class_number ||
            first.ident[elf::ident_data] != elf::little_endian || first.machine != Elf::machine)
            return load_error::wrong_machine;
        const uint8_t osabi = first.ident[elf::ident_osabi];
        if (first.ident[elf::ident_version] != elf::current_version ||
            first.version != elf::current_version ||
            (osabi != elf::osabi_none && osabi != elf::osabi_gnu))
            return load_error::bad_header;
        return first.type == elf::type_relocatable ? load_error{} : load_error::not_relocatable;
    }

    load_error find_sections(const header& first) {
        if (first.header_size != sizeof first || first.section_header_size != sizeof(section))
            return load_error::bad_header;
        // Or a symbol's index could be both a section's and a reserved one.
        if (count_sections(first) >= elf::first_reserved && !is_left_out(check::section_count))
            return load_error::too_many_sections;
        if (first.section_count == 0 || first.section_names >= first.section_count)
            return load_error::bad_header;
        if (!object_.contains(first.section_headers, first.section_count * sizeof(section)))
            return load_error::truncated;
        object_.sections = object_.template at<section>(first.section_headers);
        object_.section_count = first.section_count;
        return find_strings(object_, first.section_names, object_.section_names,
                            object_.section_names_size);
    }

    /// A file with more than the header can say has the number in the size of section 0.
    uint64_t count_sections(const header& first) const {
        if (first.section_count != 0 || first.section_headers == 0 ||
            !object_.contains(first.section_headers, sizeof(section)))
            return first.section_count;
        return object_.template at<section>(first.section_headers)->size;
    }

    object<Elf>& object_;
};

} // namespace nmisafe::module_loader::internal
