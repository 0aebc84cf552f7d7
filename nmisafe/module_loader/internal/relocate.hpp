// SPDX-License-Identifier: MIT
/// Relocations, when all symbols have their values.
#pragma once

#include "nmisafe/module_loader/internal/segments.hpp"

namespace nmisafe::module_loader::internal {

template <typename Elf>
class relocator {
  public:
    /// `why` is written if relocate() says false.
    relocator(const object<Elf>& from, const symbol_value* values, const segment_map<Elf>& where,
              refusal& why)
        : object_(from), values_(values), where_(where), refusal_(why) {}

    bool relocate() {
        write_slots();
        for (uint32_t i = 1; i < object_.section_count; ++i)
            if (object_.has_relocations(i) && !relocate(i))
                return false;
        return true;
    }

  private:
    using address = typename Elf::address;
    using relocation = typename Elf::relocation;

    address slot_of(uint32_t symbol) const {
        return static_cast<address>(where_.table() + (values_[symbol].slot - 1) * sizeof(address));
    }

    void write_slots() {
        for (uint32_t i = 0; i < object_.symbol_count; ++i)
            if (values_[i].slot != 0)
                where_.table_bytes()[values_[i].slot - 1] = static_cast<address>(values_[i].value);
    }

    bool relocate(uint32_t table) {
        const uint32_t target = object_.sections[table].info;
        const auto* const from = object_.template at<uint8_t>(object_.sections[target].offset);
        const auto* const entries = object_.template at<relocation>(object_.sections[table].offset);
        for (uint32_t i = 0; i < object_.sections[table].size / sizeof(relocation); ++i) {
            const relocation& one = entries[i];
            const auto offset = static_cast<size_t>(one.offset);
            const relocation_form form = Elf::form_at(one, from + offset, offset != 0);
            if (form.size == 0)
                continue;
            const auto place = static_cast<address>(where_.address_of(target) + offset);
            const auto value =
                static_cast<address>(subject_of(one.symbol(), form) + one.addend(from + offset) -
                                     (form.relative ? place : 0));
            if (!fits(value, form.fits)) {
                refusal_ = {load_error::relocation_overflow, table, i, one.type(),
                            one.symbol() == 0 ? nullptr : object_.symbol_name(one.symbol())};
                return false;
            }
            uint8_t* const to = where_.memory_of(target) + offset;
            for (unsigned byte = 0; byte < form.size; ++byte)
                to[byte] = static_cast<uint8_t>(uint64_t{value} >> (8 * byte));
        }
        return true;
    }

    address subject_of(uint32_t symbol, const relocation_form& form) const {
        using subject = relocation_form::subject;
        const auto value = static_cast<address>(values_[symbol].value);
        switch (form.of) {
        case subject::symbol:
            break;
        case subject::symbol_from_table:
            return static_cast<address>(value - where_.table());
        case subject::slot:
            return slot_of(symbol);
        case subject::slot_from_table:
            return static_cast<address>(slot_of(symbol) - where_.table());
        case subject::table:
            return where_.table();
        }
        return value;
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

    const object<Elf>& object_;
    const symbol_value* const values_;
    const segment_map<Elf>& where_;
    refusal& refusal_;
};

} // namespace nmisafe::module_loader::internal
