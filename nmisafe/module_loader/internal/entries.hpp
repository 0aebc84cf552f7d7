// SPDX-License-Identifier: MIT
/// What the loader itself looks for in an object that has been relocated: functions to call, and
/// the module's name.
#pragma once

#include "nmisafe/module_loader/internal/segments.hpp"

namespace nmisafe::module_loader::internal {

/// Addresses of functions, one after the other in the read-only segment, in the order of calls.
struct call_list {
    uint64_t address;
    uint32_t count;
};

/// What init, exit and name lead to; 0 where the object has none.
struct entry_points {
    uint64_t init;
    uint64_t exit;
    uint64_t name;
    call_list calls[call_kinds];
};

/// The longest name of a module, with its terminating 0.
inline constexpr uint64_t maximum_name = 64;

template <typename Elf>
class entry_finder {
  public:
    /// `why` is written if find() says false.
    entry_finder(const object<Elf>& from, const placement* places, const layout_result& layout,
                 const segment_map<Elf>& where, refusal& why)
        : object_(from), places_(places), layout_(layout), where_(where), refusal_(why) {}

    bool find(entry_points& entries) {
        entries = {};
        return find_symbols(entries) && list_constructors(entries.calls[constructors]) &&
               list_destructors(entries.calls[destructors]);
    }

  private:
    using address = typename Elf::address;
    using word = typename segment_map<Elf>::word;

    bool refuse(load_error why, uint32_t symbol) {
        refusal_ = {why, object_.symbol_section, symbol, 0, object_.symbol_name(symbol)};
        return false;
    }

    bool find_symbols(entry_points& entries) {
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
            return refuse(load_error::bad_entry_point, index);
        found = static_cast<address>(where_.address_of(symbol.section) + symbol.value);
        return true;
    }

    /// Looked at in the segment, because a relocation may have changed the bytes.
    bool find_name(uint32_t index, uint64_t& found) {
        const auto& symbol = object_.symbols[index];
        if (object_.is_loaded(symbol.section) &&
            object_.segment_of(symbol.section) == read_only_segment) {
            const auto offset = static_cast<size_t>(symbol.value);
            const uint8_t* const text = where_.memory_of(symbol.section) + offset;
            const uint64_t room = object_.sections[symbol.section].size - offset;
            for (uint64_t i = 0; i < room && i < maximum_name; ++i) {
                if (text[i] == 0) {
                    found = static_cast<address>(where_.address_of(symbol.section) + offset);
                    return true;
                }
            }
        }
        return refuse(load_error::bad_module_name, index);
    }

    // --- constructors and destructors ------------------------------------------------------------

    /// Gives `each` the functions in the order of construction. What is 0, or -1 as at the begin of
    /// a table of the older kind, is none.
    template <typename Each>
    bool for_each_call(call_kind kind, Each each) {
        constexpr auto none = static_cast<address>(~address{0});
        for (uint32_t at = layout_.first_called[kind]; at != 0; at = places_[at].later) {
            const auto count = static_cast<uint32_t>(object_.sections[at].size / sizeof(address));
            const bool from_the_end = call_table_of(object_, at).from_the_end;
            const auto* const table = reinterpret_cast<const word*>(where_.memory_of(at));
            for (uint32_t i = 0; i < count; ++i) {
                const uint32_t index = from_the_end ? count - 1 - i : i;
                const address function = table[index].value;
                if (function == 0 || function == none)
                    continue;
                if (!where_.is_code(function) && !is_left_out(check::called_function)) {
                    refusal_ = {load_error::bad_entry_point, at, index, 0, nullptr};
                    return false;
                }
                each(function);
            }
        }
        return true;
    }

    bool list_constructors(call_list& list) {
        word* to = where_.words_at(layout_.calls);
        const word* const begin = to;
        if (!for_each_call(constructors, [&](address function) { *to++ = function; }))
            return false;
        list = {where_.address_at(layout_.calls), static_cast<uint32_t>(to - begin)};
        return true;
    }

    /// From the end of their room on.
    bool list_destructors(call_list& list) {
        const uint64_t room =
            uint64_t{layout_.call_counts[constructors]} + layout_.call_counts[destructors];
        word* to = where_.words_at(layout_.calls) + room;
        const word* const end = to;
        if (!for_each_call(destructors, [&](address function) { *--to = function; }))
            return false;
        const auto count = static_cast<uint32_t>(end - to);
        list = {where_.address_at(layout_.calls + (room - count) * sizeof(address)), count};
        return true;
    }

    const object<Elf>& object_;
    const placement* const places_;
    const layout_result& layout_;
    const segment_map<Elf>& where_;
    refusal& refusal_;
};

} // namespace nmisafe::module_loader::internal
