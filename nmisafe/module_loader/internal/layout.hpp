// SPDX-License-Identifier: MIT
/// Where each section comes to lie in its segment.
///
/// Sections of one name lie side by side, in the order of the file, with no more between them than
/// the next one's alignment asks for: so a table that many sections make up is one range. The names
/// come in the order of the file too.
///
/// Behind the read-only sections comes a directory of the names and their ranges, for
/// find_section(). Sections without a byte are not in it.
///
/// Names are sorted to find equal ones, by a hash first: n log n steps whatever the names are, and
/// two strings are compared only when they have the same hash and length, so that all comparisons
/// in one level of the sort together read no more bytes than the names have.
#pragma once

#include "nmisafe/module_loader/internal/check.hpp"
#include "nmisafe/module_loader/internal/object.hpp"

namespace nmisafe::module_loader::internal {

/// Of each section, while the object is loaded.
struct placement {
    uint64_t offset; ///< In its segment.
    uint32_t name_hash;
    uint32_t name_length;
    uint32_t next;   ///< The next section of the name; 0: none.
    uint32_t leader; ///< 1: the first section of the name.
};

/// Of each symbol, while the object is loaded.
struct symbol_value {
    uint64_t value; ///< Of a common symbol, until its address is known: the offset in the segment.
    enum : uint32_t { unused, used, known } state;
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

struct layout_result {
    uint64_t sizes[segment_count];
    uint64_t directory; ///< Offset in the read-only segment.
    uint32_t directory_count;
};

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
        return link_equal_names() && place_sections() && place_commons() && place_directory();
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

    /// Lists linked by `next`; of equal ones those of a come first.
    uint32_t merge(uint32_t a, uint32_t b) {
        uint32_t first = 0;
        uint32_t last = 0;
        while (a != 0 || b != 0) {
            uint32_t& from = b == 0 || (a != 0 && compare(a, b) <= 0) ? a : b;
            (last == 0 ? first : places_[last].next) = from;
            last = from;
            from = places_[from].next;
        }
        return first;
    }

    /// Merge sort from below: list i of `waiting` is empty or has 2^i sections.
    uint32_t sorted_by_name() {
        uint32_t waiting[17] = {}; // section indices have 16 bits
        for (uint32_t i = 1; i < object_.section_count; ++i) {
            if (!object_.is_loaded(i))
                continue;
            hash_name(i);
            uint32_t list = i;
            size_t level = 0;
            for (; waiting[level] != 0; ++level) {
                list = merge(waiting[level], list);
                waiting[level] = 0;
            }
            waiting[level] = list;
        }
        uint32_t list = 0;
        for (const uint32_t earlier : waiting)
            list = merge(earlier, list);
        return list;
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

    // --- places ----------------------------------------------------------------------------------

    /// Takes `size` bytes at the segment's end. The segment is at most maximum_size, the alignment
    /// at most a page.
    bool take(segment where, uint64_t alignment, uint64_t size, uint64_t& offset) {
        uint64_t& end = result_.sizes[where];
        offset = alignment > 1 ? (end + alignment - 1) & ~(alignment - 1) : end;
        if (size > maximum_size || offset + size > maximum_size)
            return false;
        end = offset + size;
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
