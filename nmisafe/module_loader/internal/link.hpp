// SPDX-License-Identifier: MIT
/// Fills the segments: contents, relocations, directory.
#pragma once

#include "nmisafe/module_loader/internal/entries.hpp"
#include "nmisafe/module_loader/internal/relocate.hpp"

namespace nmisafe::module_loader::internal {

/// Where symbols come from that the object does not define. 0 means: not here.
struct symbol_source {
    void* context;
    uintptr_t (*find_symbol)(void* context, const char* name);
    /// May be null. Asked for weak symbols that the object does define.
    uintptr_t (*find_replacement)(void* context, const char* name);
};

template <typename Elf>
class linker {
  public:
    linker(const object<Elf>& from, const placement* places, symbol_value* values,
           const layout_result& layout, const segment_memory* segments, symbol_source symbols,
           refusal& why)
        : object_(from), places_(places), values_(values), layout_(layout), segments_(segments),
          where_(from, places, layout, segments), source_(symbols), refusal_(why),
          names_left_(from.size) {}

    bool link(entry_points& entries) {
        copy_contents();
        mark_used_symbols();
        if (!resolve_symbols() || !relocator<Elf>(object_, values_, where_, refusal_).relocate() ||
            !entry_finder<Elf>(object_, places_, layout_, where_, refusal_).find(entries))
            return false;
        write_directory();
        return true;
    }

  private:
    using address = typename Elf::address;
    using relocation = typename Elf::relocation;

    bool refuse(load_error why, uint32_t section, uint32_t entry = 0, uint32_t relocation_type = 0,
                const char* symbol = nullptr) {
        refusal_ = {why, section, entry, relocation_type, symbol};
        return false;
    }

    void copy_contents() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            const auto& one = object_.sections[i];
            if (!object_.is_loaded(i) || one.type == elf::nobits)
                continue;
            const auto* const from = object_.template at<uint8_t>(one.offset);
            uint8_t* const to = where_.memory_of(i);
            for (size_t at = 0; at < one.size; ++at)
                to[at] = from[at];
        }
    }

    // --- symbols ---------------------------------------------------------------------------------

    void mark_used_symbols() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.has_relocations(i))
                continue;
            const auto* const entries = object_.template at<relocation>(object_.sections[i].offset);
            for (uint32_t at = 0; at < object_.sections[i].size / sizeof(relocation); ++at)
                if (Elf::form_of(entries[at].type()).needs_symbol())
                    values_[entries[at].symbol()].state = symbol_value::used;
        }
    }

    /// Two names are the linker's: of the global offset table, and of what tells one module's
    /// global objects from another's when they are destroyed. Only symbols that relocations name:
    /// what debuggers alone refer to need not exist.
    bool resolve_symbols() {
        for (uint32_t i = 1; i < object_.symbol_count; ++i) {
            if (values_[i].state != symbol_value::used)
                continue;
            if (!resolve(i, values_[i].value))
                return false;
            values_[i].state = symbol_value::known;
        }
        return true;
    }

    bool ask(uintptr_t (*find)(void*, const char*), uint32_t symbol, uint64_t& found) {
        const uint64_t length = length_of(object_.symbol_name(symbol));
        if (length > names_left_)
            return refuse(load_error::shared_bytes, object_.symbol_section, symbol);
        names_left_ -= length;
        found = find(source_.context, object_.symbol_name(symbol));
        return true;
    }

    bool resolve(uint32_t index, uint64_t& value) {
        const auto& one = object_.symbols[index];
        const bool is_weak =
            object_.binding(index) == elf::weak || object_.binding(index) == elf::gnu_unique;
        if (one.section == elf::undefined) {
            if (same_string(object_.symbol_name(index), "_GLOBAL_OFFSET_TABLE_")) {
                value = where_.table();
                return true;
            }
            if (!ask(source_.find_symbol, index, value))
                return false;
            if (value == 0 && same_string(object_.symbol_name(index), "__dso_handle"))
                value = where_.begin_of(read_only_segment);
            return value != 0 || is_weak ||
                   refuse(load_error::undefined_symbol, object_.symbol_section, index, 0,
                          object_.symbol_name(index));
        }
        if (is_weak && source_.find_replacement != nullptr) {
            uint64_t replacement = 0;
            if (!ask(source_.find_replacement, index, replacement))
                return false;
            if (replacement != 0) {
                value = replacement;
                return true;
            }
        }
        if (one.section == elf::absolute)
            value = one.value;
        else if (one.section == elf::common)
            value += segments_[data_segment].address;
        else if (object_.is_loaded(one.section))
            value = static_cast<address>(where_.address_of(one.section) + one.value);
        else
            return refuse(load_error::bad_symbol, object_.symbol_section, index, 0,
                          object_.symbol_name(index));
        return true;
    }

    // --- directory -------------------------------------------------------------------------------

    void write_directory() {
        using entry = directory_entry<Elf>;
        if (layout_.directory_count == 0)
            return;
        uint8_t* const begin = where_.constants_at(layout_.directory);
        auto* entries = reinterpret_cast<entry*>(begin);
        auto name = static_cast<uint32_t>(layout_.directory_count * sizeof(entry));
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.is_loaded(i) || places_[i].leader == 0)
                continue;
            const auto range = range_of(i);
            if (range.begin == range.end)
                continue;
            *entries++ = {range.begin, range.end, name};
            const char* const text = object_.section_name(i);
            for (uint32_t at = 0; at <= places_[i].name_length; ++at)
                begin[name++] = static_cast<uint8_t>(text[at]);
        }
    }

    /// From the first section of the name that has a byte to the end of the last.
    directory_entry<Elf> range_of(uint32_t leader) const {
        address begin = 0;
        address end = 0;
        for (uint32_t at = leader; at != 0; at = places_[at].next) {
            if (object_.sections[at].size == 0)
                continue;
            if (end == 0)
                begin = where_.address_of(at);
            end = static_cast<address>(where_.address_of(at) + object_.sections[at].size);
        }
        return {begin, end, 0};
    }

    const object<Elf>& object_;
    const placement* const places_;
    symbol_value* const values_;
    const layout_result& layout_;
    const segment_memory* const segments_;
    const segment_map<Elf> where_;
    const symbol_source source_;
    refusal& refusal_;
    uint64_t names_left_; // of symbols that are looked up
};

} // namespace nmisafe::module_loader::internal
