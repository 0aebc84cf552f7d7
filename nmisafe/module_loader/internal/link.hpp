// SPDX-License-Identifier: MIT
/// Fills the segments: contents, directory, relocations.
#pragma once

#include "nmisafe/module_loader/internal/layout.hpp"

namespace nmisafe::module_loader::internal {

/// A segment's memory, zero, and the address at which its first byte will run.
struct segment_memory {
    uint8_t* bytes;
    uint64_t address;
};

/// What init, exit and name lead to; 0 where the object has none.
struct entry_points {
    uint64_t init;
    uint64_t exit;
    uint64_t name;
};

/// Where symbols come from that the object does not define. 0 means: not here.
struct symbol_source {
    void* context;
    uintptr_t (*find_symbol)(void* context, const char* name);
    /// May be null. Asked for weak symbols that the object does define.
    uintptr_t (*find_replacement)(void* context, const char* name);
};

/// The longest name of a module, with its terminating 0.
inline constexpr uint64_t maximum_name = 64;

template <typename Elf>
class linker {
  public:
    linker(const object<Elf>& from, const placement* places, symbol_value* values,
           const layout_result& layout, const segment_memory* segments, symbol_source symbols,
           refusal& why)
        : object_(from), places_(places), values_(values), layout_(layout), segments_(segments),
          source_(symbols), refusal_(why), names_left_(from.size) {}

    bool link(entry_points& entries) {
        copy_contents();
        mark_used_symbols();
        if (!resolve_symbols() || !relocate() || !find_entry_points(entries))
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

    uint8_t* memory_of(uint32_t section) const {
        return segments_[object_.segment_of(section)].bytes +
               static_cast<size_t>(places_[section].offset);
    }
    address address_of(uint32_t section) const {
        return static_cast<address>(segments_[object_.segment_of(section)].address +
                                    places_[section].offset);
    }

    void copy_contents() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            const auto& one = object_.sections[i];
            if (!object_.is_loaded(i) || one.type == elf::nobits)
                continue;
            const auto* const from = object_.template at<uint8_t>(one.offset);
            uint8_t* const to = memory_of(i);
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
                if (Elf::form_of(entries[at].type()).size != 0)
                    values_[entries[at].symbol()].state = symbol_value::used;
        }
    }

    /// Only symbols that relocations name: what debuggers alone refer to need not exist.
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
            if (!ask(source_.find_symbol, index, value))
                return false;
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
            value = static_cast<address>(address_of(one.section) + one.value);
        else
            return refuse(load_error::bad_symbol, object_.symbol_section, index, 0,
                          object_.symbol_name(index));
        return true;
    }

    // --- relocations -----------------------------------------------------------------------------

    bool relocate() {
        for (uint32_t i = 1; i < object_.section_count; ++i)
            if (object_.has_relocations(i) && !relocate(i))
                return false;
        return true;
    }

    bool relocate(uint32_t table) {
        const uint32_t target = object_.sections[table].info;
        const auto* const from = object_.template at<uint8_t>(object_.sections[target].offset);
        const auto* const entries = object_.template at<relocation>(object_.sections[table].offset);
        for (uint32_t i = 0; i < object_.sections[table].size / sizeof(relocation); ++i) {
            const relocation& one = entries[i];
            const relocation_form form = Elf::form_of(one.type());
            if (form.size == 0)
                continue;
            const auto offset = static_cast<size_t>(one.offset);
            const auto symbol = static_cast<address>(values_[one.symbol()].value);
            const auto place = static_cast<address>(address_of(target) + offset);
            const auto value = static_cast<address>(symbol + one.addend(from + offset) -
                                                    (form.relative ? place : 0));
            if (!fits(value, form.fits))
                return refuse(load_error::relocation_overflow, table, i, one.type(),
                              one.symbol() == 0 ? nullptr : object_.symbol_name(one.symbol()));
            uint8_t* const to = memory_of(target) + offset;
            for (unsigned byte = 0; byte < form.size; ++byte)
                to[byte] = static_cast<uint8_t>(uint64_t{value} >> (8 * byte));
        }
        return true;
    }

    /// Whether 32 bits can hold the value.
    static bool fits(uint64_t value, relocation_form::range how) {
        using range = relocation_form::range;
        if (how == range::is_unsigned)
            return value == static_cast<uint32_t>(value);
        if (how == range::is_signed)
            return value == static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)});
        return true;
    }

    // --- what the loader itself looks for --------------------------------------------------------

    bool find_entry_points(entry_points& entries) {
        entries = {};
        for (uint32_t i = 1; i < object_.symbol_count; ++i) {
            if (object_.binding(i) == elf::local || !object_.is_in_section(i))
                continue;
            const char* const name = object_.symbol_name(i);
            if (same_string(name, "nmisafe_module_init")) {
                if (!find_function(i, entries.init))
                    return false;
            } else if (same_string(name, "nmisafe_module_exit")) {
                if (!find_function(i, entries.exit))
                    return false;
            } else if (same_string(name, "nmisafe_module_name")) {
                if (!find_name(i, entries.name))
                    return false;
            }
        }
        return true;
    }

    bool find_function(uint32_t index, uint64_t& found) {
        const auto& symbol = object_.symbols[index];
        const uint8_t type = object_.type(index);
        if (!object_.is_loaded(symbol.section) ||
            object_.segment_of(symbol.section) != code_segment ||
            symbol.value >= object_.sections[symbol.section].size ||
            (type != elf::function && type != elf::no_type))
            return refuse(load_error::bad_entry_point, object_.symbol_section, index, 0,
                          object_.symbol_name(index));
        found = static_cast<address>(address_of(symbol.section) + symbol.value);
        return true;
    }

    /// Looked at in the segment, because a relocation may have changed the bytes.
    bool find_name(uint32_t index, uint64_t& found) {
        const auto& symbol = object_.symbols[index];
        if (object_.is_loaded(symbol.section) &&
            object_.segment_of(symbol.section) == read_only_segment) {
            const auto offset = static_cast<size_t>(symbol.value);
            const uint8_t* const text = memory_of(symbol.section) + offset;
            const uint64_t room = object_.sections[symbol.section].size - offset;
            for (uint64_t i = 0; i < room && i < maximum_name; ++i) {
                if (text[i] == 0) {
                    found = static_cast<address>(address_of(symbol.section) + offset);
                    return true;
                }
            }
        }
        return refuse(load_error::bad_module_name, object_.symbol_section, index, 0,
                      object_.symbol_name(index));
    }

    void write_directory() {
        using entry = directory_entry<Elf>;
        if (layout_.directory_count == 0)
            return;
        uint8_t* const begin =
            segments_[read_only_segment].bytes + static_cast<size_t>(layout_.directory);
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
                begin = address_of(at);
            end = static_cast<address>(address_of(at) + object_.sections[at].size);
        }
        return {begin, end, 0};
    }

    const object<Elf>& object_;
    const placement* const places_;
    symbol_value* const values_;
    const layout_result& layout_;
    const segment_memory* const segments_;
    const symbol_source source_;
    refusal& refusal_;
    uint64_t names_left_; // of symbols that are looked up
};

} // namespace nmisafe::module_loader::internal
