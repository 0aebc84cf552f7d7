// SPDX-License-Identifier: MIT
/// Finds the row of an opcode: an index over the rows of a map, built and checked at compile time.
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

/// What the conditions of the rows are about.
struct row_query {
    uint8_t opcode;
    traits mandatory_prefix; // np, p66, pf3 or pf2
    width mode;
    uint8_t modrm;
    bool wide_operand;   // 8 bytes: REX.W or W
    bool narrow_operand; // 2 bytes, if it is not wide
    bool vex;
    bool vex_l;
    bool vex_w;
    bool vex_vvvv_unused; // it is 1111
};

class opcode_table {
  public:
    template <size_t Size>
    consteval explicit opcode_table(const opcode_row (&rows)[Size])
        : rows_(rows), end_(rows + Size) {
        static_assert(Size < none);
        for (uint8_t& start : start_)
            start = none;
        // Backwards, so that the first row of an opcode is what remains.
        for (size_t i = Size; i-- > 0;)
            for (unsigned opcode = rows[i].range.first; opcode <= rows[i].range.last; ++opcode)
                start_[opcode] = static_cast<uint8_t>(i);
        check();
    }

    constexpr bool knows(uint8_t opcode) const { return start_[opcode] != none; }

    /// Whether a ModRM byte follows an opcode that is known; all its rows agree on that.
    constexpr bool has_modrm(uint8_t opcode) const {
        return (rows_[start_[opcode]].what & modrm) != 0;
    }

    /// The row of an opcode that is known, or nullptr.
    constexpr const opcode_row* find(const row_query& query) const {
        for (const opcode_row* row = rows_ + start_[query.opcode];
             row != end_ && row->range.first <= query.opcode; ++row)
            if (covers(*row, query.opcode) && holds(*row, query))
                return row;
        return nullptr;
    }

  private:
    static constexpr uint8_t none = 0xff;

    static constexpr bool covers(const opcode_row& row, uint8_t opcode) {
        return row.range.first <= opcode && opcode <= row.range.last;
    }

    static constexpr bool holds(const opcode_row& row, const row_query& query) {
        const traits what = row.what;
        // A pair of which a row names none stands for both.
        const auto allows = [what](traits when_set, traits when_clear, bool set) {
            const traits named = what & (when_set | when_clear);
            return named == 0 || (named & (set ? when_set : when_clear)) != 0;
        };
        if ((what & any_prefix) != 0 && (what & query.mandatory_prefix) == 0)
            return false;
        if (!allows(only_64, only_32, query.mode == width::bits_64))
            return false;
        if ((what & modrm) != 0) {
            const bool is_register = query.modrm >= 0xc0 || (what & mod_ignored) == mod_ignored;
            if (!allows(registers, memory, is_register))
                return false;
            if ((row.reg >> (query.modrm >> 3 & 7) & 1) == 0 ||
                (row.rm >> (query.modrm & 7) & 1) == 0)
                return false;
        }
        if (!query.vex)
            return true;
        return ((what & vvvv) != 0 || query.vex_vvvv_unused) && allows(l1, l0, query.vex_l) &&
               allows(w1, w0, query.vex_w);
    }

    /// A table that breaks these rules does not compile: the trap is no constant expression.
    consteval void check() const {
        for (const opcode_row* row = rows_; row != end_; ++row) {
            if (row->range.last < row->range.first)
                __builtin_trap();
            if (row + 1 != end_ && row[1].range.first < row->range.first)
                __builtin_trap();
            for (unsigned opcode = row->range.first; opcode <= row->range.last; ++opcode)
                if (((row->what & modrm) != 0) != has_modrm(static_cast<uint8_t>(opcode)))
                    __builtin_trap();
        }
    }

    const opcode_row* rows_;
    const opcode_row* end_;
    uint8_t start_[256]{};
};

} // namespace nmisafe::x86::internal
