// SPDX-License-Identifier: MIT
/// Where each section comes to lie in its segment.
///
/// Sections of one name lie side by side, in the order of the file, with no more between them than
/// the next one's alignment asks for: so a table that many sections make up is one range. The names
/// come in the order of the file too.
///
/// Behind the read-only sections come the global offset table, the addresses of constructors and
/// destructors in the order of their calls, and a directory of the names and their ranges, for
/// find_section(). Sections without a byte are not in it.
///
/// Names are sorted to find equal ones, by a hash first: n log n steps whatever the names are, and
/// two strings are compared only when they have the same hash and length, so that all comparisons
/// in one level of the sort together read no more bytes than the names have.
#pragma once

#include "nmisafe/module_loader/internal/calls.hpp"
#include "nmisafe/module_loader/internal/check.hpp"
#include "nmisafe/module_loader/internal/section_sort.hpp"

namespace nmisafe::module_loader::internal {

template <typename Elf>
class layouter {
  public:
    /// `places` and `values` are zero, one of each per section and symbol. `why` is written if
    /// lay_out() says false.
    layouter(const object<Elf>& from, placement* places, symbol_value* values,
             layout_result& result, refusal& why)
        : object_(from), places_(places), values_(values), result_(result), refusal_(why) {}

    bool lay_out() {
        result_ = {};
        link_calls();
        return link_equal_names() && place_sections() && place_commons() && place_table() &&
               place_calls() && place_directory();
    }

  private:
    bool refuse(load_error why, uint32_t section, uint32_t entry = 0) {
        refusal_ = {why, section, entry, 0, nullptr};
        return false;
    }

    // --- equal names -----------------------------------------------------------------------------

    void hash_name(uint32_t index) {
        const char* const name = object_.section_name(index);
        uint32_t hash = 2166136261; // FNV-1a
        uint32_t length = 0;
        for (; name[length] != 0; ++length)
            hash = (hash ^ static_cast<uint8_t>(name[length])) * 16777619;
        places_[index].name_hash = hash;
        places_[index].name_length = length;
    }

    /// Negative, 0, positive, as a's name comes before b's, is b's, comes after. Any order will do.
    int compare(uint32_t a, uint32_t b) const {
        const placement& one = places_[a];
        const placement& other = places_[b];
        if (one.name_hash != other.name_hash)
            return one.name_hash < other.name_hash ? -1 : 1;
        if (one.name_length != other.name_length)
            return one.name_length < other.name_length ? -1 : 1;
        if (object_.sections[a].name == object_.sections[b].name)
            return 0;
        const char* const text = object_.section_name(a);
        const char* const other_text = object_.section_name(b);
        for (uint32_t i = 0; i < one.name_length; ++i)
            if (text[i] != other_text[i])
                return text[i] < other_text[i] ? -1 : 1;
        return 0;
    }

    uint32_t sorted_by_name() {
        const auto comes_first = [this](uint32_t a, uint32_t b) { return compare(a, b) < 0; };
        section_sort<&placement::next, decltype(comes_first)> sort(places_, comes_first);
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.is_loaded(i))
                continue;
            hash_name(i);
            sort.add(i);
        }
        return sort.sorted();
    }

    /// Cuts the sorted list where the name changes.
    bool link_equal_names() {
        uint32_t leader = 0;
        uint32_t before = 0;
        for (uint32_t at = sorted_by_name(); at != 0;
             before = std::exchange(at, places_[at].next)) {
            if (before == 0 || compare(before, at) != 0) {
                leader = at;
                places_[at].leader = 1;
                if (before != 0)
                    places_[before].next = 0;
            } else if (object_.segment_of(leader) != object_.segment_of(at)) {
                return refuse(load_error::mixed_section, at);
            }
        }
        return true;
    }

    // --- functions to be called ------------------------------------------------------------------

    void link_calls() {
        const auto comes_first = [this](uint32_t a, uint32_t b) {
            return call_table_of(object_, a).priority < call_table_of(object_, b).priority;
        };
        using sort = section_sort<&placement::later, decltype(comes_first)>;
        sort sorts[call_kinds] = {sort(places_, comes_first), sort(places_, comes_first)};
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.is_loaded(i) || object_.sections[i].size == 0)
                continue;
            const call_table table = call_table_of(object_, i);
            if (table.kind == not_called)
                continue;
            sorts[table.kind].add(i);
            result_.call_counts[table.kind] +=
                static_cast<uint32_t>(object_.sections[i].size / sizeof(typename Elf::address));
        }
        for (size_t kind = 0; kind < call_kinds; ++kind)
            result_.first_called[kind] = sorts[kind].sorted();
    }

    // --- places ----------------------------------------------------------------------------------

    /// Takes `size` bytes at the segment's end. Segments and alignments are at most maximum_size.
    bool take(segment where, uint64_t alignment, uint64_t size, uint64_t& offset) {
        uint64_t& end = result_.sizes[where];
        offset = alignment > 1 ? (end + alignment - 1) & ~(alignment - 1) : end;
        if (size > maximum_size || offset + size > maximum_size)
            return false;
        end = offset + size;
        if (alignment > result_.alignments[where])
            result_.alignments[where] = alignment;
        return true;
    }

    bool place_sections() {
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.is_loaded(i) || places_[i].leader == 0)
                continue;
            bool is_empty = true;
            for (uint32_t at = i; at != 0; at = places_[at].next) {
                const auto& one = object_.sections[at];
                if (!take(object_.segment_of(at), one.alignment, one.size, places_[at].offset))
                    return refuse(load_error::too_large, at);
                is_empty = is_empty && one.size == 0;
            }
            if (!is_empty) {
                ++result_.directory_count;
                names_size_ += places_[i].name_length + uint64_t{1};
            }
        }
        return true;
    }

    bool place_commons() {
        for (uint32_t i = 1; i < object_.symbol_count; ++i) {
            const auto& one = object_.symbols[i];
            if (one.section == elf::common &&
                !take(data_segment, one.value, one.size, values_[i].value))
                return refuse(load_error::too_large, object_.symbol_section, i);
        }
        return true;
    }

    /// A slot for each symbol that has need of one. Without slots the table still has a begin.
    bool place_table() {
        using relocation = typename Elf::relocation;
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.has_relocations(i))
                continue;
            const auto* const entries = object_.template at<relocation>(object_.sections[i].offset);
            for (uint32_t at = 0; at < object_.sections[i].size / sizeof(relocation); ++at) {
                if (!Elf::form_of(entries[at].type()).needs_slot())
                    continue;
                uint32_t& slot = values_[entries[at].symbol()].slot;
                if (slot == 0)
                    slot = ++result_.slot_count;
            }
        }
        return take_words(result_.slot_count, result_.table);
    }

    bool place_calls() {
        return take_words(uint64_t{result_.call_counts[constructors]} +
                              result_.call_counts[destructors],
                          result_.calls);
    }

    /// No words leave the segment as large as it is.
    bool take_words(uint64_t count, uint64_t& offset) {
        constexpr uint64_t size = sizeof(typename Elf::address);
        return take(read_only_segment, count == 0 ? 1 : size, count * size, offset) ||
               refuse(load_error::too_large, 0);
    }

    bool place_directory() {
        using entry = directory_entry<Elf>;
        if (!take(read_only_segment, alignof(entry),
                  result_.directory_count * sizeof(entry) + names_size_, result_.directory))
            return refuse(load_error::too_large, 0);
        return true;
    }

    const object<Elf>& object_;
    placement* const places_;
    symbol_value* const values_;
    layout_result& result_;
    refusal& refusal_;
    uint64_t names_size_ = 0; // of those in the directory, with their ends
};

} // namespace nmisafe::module_loader::internal
