// SPDX-License-Identifier: MIT
/// Everything about an object that can be checked before there is memory for it.
///
/// What passes is safe to lay out and to relocate: each index names something, each range lies
/// within the image, each string ends, each relocation lies within its section.
///
/// Time is linear in the size of the image. Section headers may all name the same bytes; so what is
/// read through them is charged to a budget of as many bytes as the image has, and an object that
/// needs more is refused.
#pragma once

#include "nmisafe/module_loader/internal/calls.hpp"
#include "nmisafe/module_loader/internal/check_header.hpp"
#include "nmisafe/module_loader/load_error.hpp"

namespace nmisafe::module_loader::internal {

constexpr bool is_power_of_two(uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

template <typename Elf>
class checker {
  public:
    /// `checked` has its bytes and its size; `why` is written if check() says false.
    checker(object<Elf>& checked, refusal& why)
        : object_(checked), refusal_(why), contents_left_(checked.size), names_left_(checked.size) {
    }

    bool check() {
        return check_header() && check_sections() && check_symbol_table() && check_symbols() &&
               check_thread_local() && check_groups() && check_relocations();
    }

  private:
    using section = typename Elf::section;
    using symbol = typename Elf::symbol;

    bool refuse(load_error why, uint32_t in_section = 0, uint32_t entry = 0,
                uint32_t relocation_type = 0, const char* name = nullptr) {
        refusal_ = {why, in_section, entry, relocation_type, name};
        return false;
    }

    static bool spend(uint64_t& budget, uint64_t amount) {
        if (amount > budget)
            return false;
        budget -= amount;
        return true;
    }

    bool check_header() {
        const load_error why = header_checker<Elf>(object_).check();
        if (why == load_error{})
            return true;
        // With sections the names are what is wrong.
        return refuse(why, object_.sections == nullptr
                               ? 0
                               : object_.template at<typename Elf::header>(0)->section_names);
    }

    bool check_sections() {
        const section& first = object_.sections[0];
        if (first.type != elf::null || first.flags != 0)
            return refuse(load_error::bad_section);
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            const section& one = object_.sections[i];
            if (one.name >= object_.section_names_size)
                return refuse(load_error::bad_name, i);
            if (one.type != elf::null && one.type != elf::nobits &&
                !object_.contains(one.offset, one.size) && !is_left_out(check::section_extent))
                return refuse(load_error::truncated, i);
            if (one.alignment > 1 && !is_power_of_two(one.alignment) &&
                !is_left_out(check::alignment))
                return refuse(load_error::bad_alignment, i);
            if (object_.is_loaded(i) && !check_loaded_section(i))
                return false;
            if (one.type == elf::symtab) {
                if (object_.symbol_section != 0)
                    return refuse(load_error::bad_symbol_table, i);
                object_.symbol_section = i;
            }
        }
        return true;
    }

    /// Of constructors or destructors: whether it can be read as a table of addresses. What the
    /// name `.preinit_array` means there is in programs only.
    bool check_calls(uint32_t index) {
        const section& one = object_.sections[index];
        const bool is_preinit = one.type == elf::preinit_array ||
                                behind_family(object_.section_name(index), ".preinit_array");
        const bool is_table = is_preinit || call_table_of(object_, index).kind != not_called;
        if (is_table && one.size != 0 &&
            (is_preinit || one.type == elf::nobits || (one.flags & elf::execinstr) != 0 ||
             one.size % sizeof(typename Elf::address) != 0))
            return refuse(load_error::bad_constructors, index);
        return true;
    }

    bool check_loaded_section(uint32_t index) {
        constexpr uint32_t known_flags = elf::write | elf::alloc | elf::execinstr | elf::merge |
                                         elf::strings | elf::info_link | elf::link_order |
                                         elf::group_member | elf::gnu_retain | elf::x86_64_large;
        const section& one = object_.sections[index];
        // The layout hashes the name of each, be the section empty or not.
        if (!spend(names_left_, length_of(object_.section_name(index))))
            return refuse(load_error::shared_bytes, index);
        if (!check_calls(index))
            return false;
        const bool known_type = one.type == elf::progbits || one.type == elf::nobits ||
                                one.type == elf::note || one.type == elf::x86_64_unwind ||
                                one.type == elf::init_array || one.type == elf::fini_array ||
                                one.type == elf::preinit_array;
        // A symbol says more than the section.
        if ((one.flags & elf::tls) != 0 && thread_local_section_ == 0)
            thread_local_section_ = index;
        if (!known_type || (one.flags & ~typename Elf::address{known_flags | elf::tls}) != 0)
            return refuse(load_error::unsupported_section, index);
        if ((one.flags & elf::write) != 0 && (one.flags & elf::execinstr) != 0)
            return refuse(load_error::write_and_execute, index);
        if (one.alignment > maximum_size)
            return refuse(load_error::bad_alignment, index);
        if ((one.flags & elf::link_order) != 0 && one.link >= object_.section_count)
            return refuse(load_error::bad_section, index);
        if (one.type != elf::nobits && !spend(contents_left_, one.size))
            return refuse(load_error::shared_bytes, index);
        return true;
    }

    bool check_symbol_table() {
        const uint32_t index = object_.symbol_section;
        if (index == 0)
            return true;
        const section& table = object_.sections[index];
        const uint64_t count = table.size / sizeof(symbol);
        if (table.entry_size != sizeof(symbol) || table.size % sizeof(symbol) != 0 ||
            table.info > count || table.link >= object_.section_count)
            return refuse(load_error::bad_symbol_table, index);
        object_.symbols = object_.template at<symbol>(table.offset);
        object_.symbol_count = static_cast<uint32_t>(count);
        const load_error why =
            find_strings(object_, table.link, object_.symbol_names, object_.symbol_names_size);
        return why == load_error{} || refuse(why, table.link);
    }

    /// Symbol 0 stands for no symbol; nothing in it is looked at.
    bool check_symbols() {
        for (uint32_t i = 1; i < object_.symbol_count; ++i)
            if (!check_symbol(i))
                return false;
        return true;
    }

    bool check_symbol(uint32_t index) {
        const symbol& one = object_.symbols[index];
        const uint32_t table = object_.symbol_section;
        if (one.name >= object_.symbol_names_size && !is_left_out(check::symbol_name))
            return refuse(load_error::bad_name, table, index);
        const uint8_t binding = object_.binding(index);
        if (binding != elf::local && binding != elf::global && binding != elf::weak &&
            binding != elf::gnu_unique)
            return refuse(load_error::bad_symbol, table, index);
        if ((binding == elf::local) != (index < object_.sections[table].info))
            return refuse(load_error::bad_symbol, table, index);
        const uint8_t type = object_.type(index);
        if (type == elf::thread_local_data || type == elf::gnu_ifunc)
            return refuse(load_error::unsupported_symbol, table, index, 0,
                          object_.symbol_name(index));
        if (one.section == elf::absolute || one.section == elf::undefined)
            return true;
        if (one.section == elf::common) {
            // An object that has nothing but what the link-time optimizer reads says so.
            if (same_string(object_.symbol_name(index), "__gnu_lto_slim"))
                return refuse(load_error::intermediate_code, table, index);
            if (!is_power_of_two(one.value) || one.value > maximum_size)
                return refuse(load_error::bad_alignment, table, index);
            return true;
        }
        if (!object_.is_in_section(index) ||
            (object_.is_loaded(one.section) && one.value > object_.sections[one.section].size))
            return refuse(load_error::bad_symbol, table, index);
        return true;
    }

    /// Of a section whose variables no symbol names.
    bool check_thread_local() {
        return thread_local_section_ == 0 ||
               refuse(load_error::unsupported_section, thread_local_section_);
    }

    /// Nothing is done with groups: in one object there are no two of the same signature. They are
    /// checked because a bad one says that the object is broken.
    bool check_groups() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            const section& one = object_.sections[i];
            if (one.type == elf::group && !check_group(i, one))
                return false;
        }
        return true;
    }

    bool check_group(uint32_t index, const section& one) {
        if (one.entry_size != sizeof(elf_word) || one.size < sizeof(elf_word) ||
            one.size % sizeof(elf_word) != 0 || object_.symbol_section == 0 ||
            one.link != object_.symbol_section || one.info >= object_.symbol_count)
            return refuse(load_error::bad_group, index);
        if (!spend(contents_left_, one.size))
            return refuse(load_error::shared_bytes, index);
        const auto* const words = object_.template at<elf_word>(one.offset);
        if ((words[0].value & ~elf::group_comdat) != 0)
            return refuse(load_error::bad_group, index);
        for (uint32_t i = 1; i < one.size / sizeof(elf_word); ++i) {
            const uint32_t member = words[i].value;
            if (member >= object_.section_count ||
                (object_.sections[member].flags & elf::group_member) == 0)
                return refuse(load_error::bad_group, index, i);
        }
        return true;
    }

    bool check_relocations() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            const section& table = object_.sections[i];
            if (table.type != elf::rel && table.type != elf::rela)
                continue;
            if (table.info >= object_.section_count)
                return refuse(load_error::bad_relocation_table, i);
            if (object_.has_relocations(i) && !check_relocation_table(i, table))
                return false;
        }
        return true;
    }

    bool check_relocation_table(uint32_t index, const section& table) {
        using relocation = typename Elf::relocation;
        const section& target = object_.sections[table.info];
        if (table.type != Elf::relocation_section || table.entry_size != sizeof(relocation) ||
            table.size % sizeof(relocation) != 0 || object_.symbol_section == 0 ||
            table.link != object_.symbol_section || target.type == elf::nobits)
            return refuse(load_error::bad_relocation_table, index);
        if (!spend(contents_left_, table.size))
            return refuse(load_error::shared_bytes, index);
        const auto* const entries = object_.template at<relocation>(table.offset);
        for (uint32_t i = 0; i < table.size / sizeof(relocation); ++i) {
            const relocation& one = entries[i];
            const relocation_form form = Elf::form_of(one.type());
            if (!form.known)
                return refuse(load_error::unsupported_relocation, index, i, one.type());
            if (one.symbol() >= object_.symbol_count && !is_left_out(check::relocation_symbol))
                return refuse(load_error::bad_relocation, index, i, one.type());
            if ((form.size > target.size || one.offset > target.size - form.size) &&
                !is_left_out(check::relocation_place))
                return refuse(load_error::bad_relocation, index, i, one.type());
        }
        return true;
    }

    object<Elf>& object_;
    refusal& refusal_;
    uint64_t contents_left_;
    uint64_t names_left_; // of sections
    uint32_t thread_local_section_ = 0;
};

} // namespace nmisafe::module_loader::internal
