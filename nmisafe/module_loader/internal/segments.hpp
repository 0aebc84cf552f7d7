// SPDX-License-Identifier: MIT
/// Where the parts of an object are, once its segments have memory.
#pragma once

#include "nmisafe/module_loader/internal/layout.hpp"

namespace nmisafe::module_loader::internal {

/// A segment's memory, zero, and the address at which its first byte will run.
struct segment_memory {
    uint8_t* bytes;
    uint64_t address;
};

template <typename Elf>
class segment_map {
  public:
    using address = typename Elf::address;
    /// In memory whose alignment is the segment's affair.
    struct [[gnu::packed, gnu::may_alias]] word {
        address value;
        word& operator=(address to) {
            value = to;
            return *this;
        }
    };

    segment_map(const object<Elf>& from, const placement* places, const layout_result& layout,
                const segment_memory* segments)
        : object_(from), places_(places), layout_(layout), segments_(segments) {}

    /// Of a section that is loaded.
    uint8_t* memory_of(uint32_t section) const {
        return segments_[object_.segment_of(section)].bytes +
               static_cast<size_t>(places_[section].offset);
    }
    address address_of(uint32_t section) const {
        return static_cast<address>(segments_[object_.segment_of(section)].address +
                                    places_[section].offset);
    }

    /// Where a segment begins.
    address begin_of(segment which) const { return static_cast<address>(segments_[which].address); }
    /// Whether an address is in code.
    bool is_code(address where) const {
        return address(where - begin_of(code_segment)) < layout_.sizes[code_segment];
    }

    /// The global offset table.
    address table() const {
        return static_cast<address>(segments_[read_only_segment].address + layout_.table);
    }
    word* table_bytes() const { return words_at(layout_.table); }

    /// What is in the read-only segment at an offset.
    uint8_t* constants_at(uint64_t offset) const {
        return segments_[read_only_segment].bytes + static_cast<size_t>(offset);
    }
    word* words_at(uint64_t offset) const { return reinterpret_cast<word*>(constants_at(offset)); }
    address address_at(uint64_t offset) const {
        return static_cast<address>(segments_[read_only_segment].address + offset);
    }

  private:
    const object<Elf>& object_;
    const placement* const places_;
    const layout_result& layout_;
    const segment_memory* const segments_;
};

} // namespace nmisafe::module_loader::internal
