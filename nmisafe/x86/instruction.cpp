// SPDX-License-Identifier: MIT
// The decoder: prefixes, opcode, ModRM, the row of the table, displacement, immediate, each from
// the bytes before it. A decision to refuse never depends on a byte further on, so what is cut off
// within an instruction is always `truncated`.
#include "nmisafe/x86/instruction.hpp"

#include "nmisafe/x86/internal/byte_reader.hpp"
#include "nmisafe/x86/internal/extended_prefix.hpp"
#include "nmisafe/x86/internal/opcode_table.hpp"
#include "nmisafe/x86/internal/opcodes_0f.hpp"
#include "nmisafe/x86/internal/opcodes_evex.hpp"
#include "nmisafe/x86/internal/opcodes_one_byte.hpp"
#include "nmisafe/x86/internal/opcodes_vex.hpp"
#include "nmisafe/x86/internal/opcodes_xop.hpp"
#include "nmisafe/x86/internal/prefix_set.hpp"

namespace nmisafe::x86 {

namespace {

using namespace internal;

constexpr opcode_table one_byte_table(one_byte_rows);
constexpr opcode_table x87_table(x87_rows);
constexpr opcode_table map_0f_table(map_0f_rows);
constexpr opcode_table map_0f38_table(map_0f38_rows);
constexpr opcode_table map_0f3a_table(map_0f3a_rows);
constexpr opcode_table vex_0f_table(vex_0f_rows);
constexpr opcode_table vex_0f38_table(vex_0f38_rows);
constexpr opcode_table vex_0f3a_table(vex_0f3a_rows);
constexpr opcode_table rex2_table(rex2_rows);
constexpr opcode_table vex_7_table(vex_7_rows);
constexpr opcode_table evex_0f_table(evex_0f_rows);
constexpr opcode_table evex_0f38_table(evex_0f38_rows);
constexpr opcode_table evex_0f3a_table(evex_0f3a_rows);
constexpr opcode_table evex_4_table(evex_4_rows);
constexpr opcode_table evex_5_table(evex_5_rows);
constexpr opcode_table evex_6_table(evex_6_rows);
constexpr opcode_table evex_7_table(evex_7_rows);
constexpr opcode_table xop_8_table(xop_8_rows);
constexpr opcode_table xop_9_table(xop_9_rows);
constexpr opcode_table xop_a_table(xop_a_rows);

const opcode_table* table_of(const extended_prefix& prefix) {
    constexpr const opcode_table* vex_tables[] = {nullptr,         &vex_0f_table, &vex_0f38_table,
                                                  &vex_0f3a_table, nullptr,       nullptr,
                                                  nullptr,         &vex_7_table};
    constexpr const opcode_table* evex_tables[] = {
        nullptr,       &evex_0f_table, &evex_0f38_table, &evex_0f3a_table,
        &evex_4_table, &evex_5_table,  &evex_6_table,    &evex_7_table};
    constexpr const opcode_table* xop_tables[] = {&xop_8_table, &xop_9_table, &xop_a_table};
    return prefix.form == encoding::xop    ? xop_tables[prefix.map - 8]
           : prefix.form == encoding::evex ? evex_tables[prefix.map]
                                           : vex_tables[prefix.map];
}

constexpr uint8_t rex_w = 8;
constexpr uint8_t rex_r = 4;

class decoder {
  public:
    decoder(const uint8_t* bytes, size_t available, width mode)
        : reader_(bytes, available), mode_(mode), error_(reader_.end_reason()) {}

    base::expected<instruction, decode_error> run() {
        if (!read_prefixes() || !read_opcode() || !read_modrm() || !find_row() ||
            !check_prefixes() || !read_displacement() || !read_immediate() || !check_immediate())
            return base::unexpected(error_);
        result_.length = reader_.position();
        return result_;
    }

  private:
    bool refuse(decode_error reason) {
        error_ = reason;
        return false;
    }

    bool is_64() const { return mode_ == width::bits_64; }
    bool rex(uint8_t bit) const { return (result_.rex & bit) != 0; }

    bool read_prefixes() {
        prefix_set found;
        if (!take_prefixes(reader_, mode_, found))
            return false;
        result_.prefixes = found.legacy;
        result_.rex = found.rex;
        return true;
    }

    /// A prefix that selects among instructions. [intel/vol2 2.1.2]
    traits mandatory_prefix() const {
        if (result_.has(prefix::repeat))
            return pf3;
        if (result_.has(prefix::repeat_not_equal))
            return pf2;
        return result_.has(prefix::operand_size) ? p66 : np;
    }

    bool read_opcode() {
        uint8_t byte;
        if (!reader_.take(byte))
            return false;
        query_.mode = mode_;
        query_.mandatory_prefix = mandatory_prefix();
        query_.wide_operand = rex(rex_w);
        query_.narrow_operand = result_.has(prefix::operand_size);
        if (byte == 0xc4 || byte == 0xc5 || byte == 0x62 || byte == 0x8f) {
            // In 32-bit mode the first three are les, lds and bound, unless ModRM would name a
            // register. The last is pop, with 0 in ModRM.reg, unless this would be XOP's map.
            uint8_t following;
            if (!reader_.peek(following))
                return false;
            if (byte == 0x8f ? (following & 0x1f) >= 8 : is_64() || following >= 0xc0)
                return read_extended_prefix(byte);
        }
        if (byte == 0xd5 && is_64())
            return read_rex2();
        table_ = is_x87(byte) ? &x87_table : &one_byte_table;
        if (byte == 0x0f) {
            result_.map = opcode_map::map_0f;
            table_ = &map_0f_table;
            if (!reader_.take(byte))
                return false;
            if (byte == 0x38 || byte == 0x3a) {
                result_.map = byte == 0x38 ? opcode_map::map_0f38 : opcode_map::map_0f3a;
                table_ = byte == 0x38 ? &map_0f38_table : &map_0f3a_table;
                if (!reader_.take(byte))
                    return false;
            }
        }
        return take_opcode(byte);
    }

    bool read_extended_prefix(uint8_t first) {
        constexpr uint8_t excluded =
            prefix::lock | prefix::operand_size | prefix::repeat | prefix::repeat_not_equal;
        if ((result_.prefixes & excluded) != 0 || result_.rex != 0)
            return refuse(decode_error::bad_prefix);
        extended_prefix found;
        const prefix_fault fault =
            first == 0x62 ? take_evex(reader_, mode_, found)
            : first == 0xc5
                ? take_vex_2(reader_, found)
                : take_vex_3(reader_, first == 0x8f ? encoding::xop : encoding::vex, found);
        if (fault == prefix_fault::unknown)
            return refuse(decode_error::unknown);
        if (fault == prefix_fault::cut_off)
            return false;
        query_.vex = found.form == encoding::vex;
        query_.mandatory_prefix = found.mandatory_prefix;
        query_.vex_w = found.w;
        query_.vex_l = found.l;
        query_.vex_vvvv_unused = found.vvvv_unused;
        query_.wide_operand = found.w;
        query_.narrow_operand = found.form == encoding::evex && found.mandatory_prefix == p66;
        result_.form = found.form;
        result_.map = static_cast<opcode_map>(found.map);
        table_ = table_of(found);
        uint8_t byte;
        return reader_.take(byte) && take_opcode(byte);
    }

    /// d5: M.R4.X4.B4.W.R.X.B, directly before an opcode of the first two maps. It takes the place
    /// of the escape, and of some rows of opcodes. [intel/apx 3.1.1]
    bool read_rex2() {
        constexpr uint8_t map_1 = 0x80;
        constexpr unsigned rows_without[] = {1 << 4 | 1 << 7 | 1 << 0xa | 1 << 0xe,
                                             1 << 3 | 1 << 8};
        if (result_.rex != 0)
            return refuse(decode_error::bad_prefix);
        uint8_t payload;
        uint8_t byte;
        if (!reader_.take(payload) || !reader_.take(byte))
            return false;
        result_.form = encoding::rex2;
        result_.rex = 0x40 | (payload & 0xf);
        query_.wide_operand = rex(rex_w);
        has_r4_ = (payload & 0x40) != 0;
        const bool first = (payload & map_1) == 0;
        if (first && byte == 0xa1)
            return read_jump_absolute(payload);
        if ((rows_without[first ? 0 : 1] >> (byte >> 4) & 1) != 0)
            return refuse(decode_error::unknown);
        result_.map = first ? opcode_map::one_byte : opcode_map::map_0f;
        table_ = !first ? &map_0f_table : is_x87(byte) ? &x87_table : &one_byte_table;
        return take_opcode(byte);
    }

    /// jmpabs: it is what a MOV from an absolute address would be.
    bool read_jump_absolute(uint8_t payload) {
        if ((payload & rex_w) != 0)
            return refuse(decode_error::unknown);
        if ((result_.prefixes & ~prefix::segment) != 0)
            return refuse(decode_error::bad_prefix);
        table_ = &rex2_table;
        return take_opcode(0xa1);
    }

    static bool is_x87(uint8_t opcode) { return opcode >= 0xd8 && opcode <= 0xdf; }

    bool take_opcode(uint8_t byte) {
        result_.opcode = query_.opcode = byte;
        result_.opcode_offset = static_cast<uint8_t>(reader_.position() - 1);
        return table_->knows(byte) || refuse(decode_error::unknown);
    }

    bool read_modrm() {
        if (!table_->has_modrm(result_.opcode))
            return true;
        result_.modrm_offset = reader_.position();
        if (!reader_.take(result_.modrm))
            return false;
        query_.modrm = result_.modrm;
        return true;
    }

    bool find_row() {
        const opcode_row* row = table_->find(query_);
        if (row == nullptr)
            return refuse(decode_error::unknown);
        what_ = row->what;
        result_.kind = static_cast<instruction_class>((what_ & class_mask) >> class_shift);
        return true;
    }

    bool has_memory_operand() const {
        return result_.modrm_offset != 0 && result_.mod() != 3 &&
               (what_ & mod_ignored) != mod_ignored;
    }

    bool check_prefixes() {
        if (result_.has(prefix::lock) && ((what_ & lock) == 0 || !has_memory_operand()))
            return refuse(decode_error::bad_prefix);
        // Intel ignores the prefix, AMD cuts RIP to 16 bits and the displacement with it, unless
        // REX.W overrides the prefix: compilers pad calls so. [amd/vol3 1.2.7]
        if (is_64() && query_.narrow_operand && !query_.wide_operand && is_near_branch())
            return refuse(decode_error::bad_prefix);
        if ((what_ & low_reg) != 0 && (rex(rex_r) || has_r4_))
            return refuse(decode_error::unknown);
        if ((what_ & no_rex2) != 0 && result_.form == encoding::rex2)
            return refuse(decode_error::unknown);
        if ((what_ & sib) != 0 && has_memory_operand() &&
            (result_.rm() != 4 || address_size() == 2))
            return refuse(decode_error::unknown);
        if ((what_ & control) != 0) {
            const bool exists = has_r4_      ? false
                                : rex(rex_r) ? result_.reg() == 0
                                             : (only(0, 2, 3, 4) >> result_.reg() & 1) != 0;
            if (!exists)
                return refuse(decode_error::unknown);
        }
        return true;
    }

    bool is_near_branch() const {
        return is_relative_branch(result_.kind) || result_.kind == instruction_class::return_near ||
               result_.kind == instruction_class::jump_indirect ||
               result_.kind == instruction_class::call_indirect ||
               (result_.kind == instruction_class::transaction &&
                immediate() == immediate_kind::imm_z);
    }

    immediate_kind immediate() const {
        return static_cast<immediate_kind>(what_ >> immediate_shift & 15);
    }

    unsigned address_size() const {
        const bool changed = result_.has(prefix::address_size);
        return is_64() ? (changed ? 4 : 8) : (changed ? 2 : 4);
    }
    unsigned operand_size() const {
        return query_.wide_operand ? 8 : query_.narrow_operand ? 2 : 4;
    }

    bool read_displacement() {
        if (immediate() == immediate_kind::address)
            return take_displacement(address_size());
        if (!has_memory_operand())
            return true;
        const uint8_t mod = result_.mod();
        if (address_size() == 2)
            return take_displacement(mod == 0 ? (result_.rm() == 6 ? 2u : 0u) : mod);
        uint8_t base = result_.rm();
        if (base == 4) {
            uint8_t sib;
            result_.sib_offset = reader_.position();
            if (!reader_.take(sib))
                return false;
            base = sib & 7;
        }
        const bool no_base = mod == 0 && base == 5;
        result_.ip_relative = no_base && result_.sib_offset == 0 && is_64();
        return take_displacement(no_base || mod == 2 ? 4 : mod);
    }

    bool take_displacement(unsigned size) {
        if (size != 0)
            result_.displacement_offset = reader_.position();
        result_.displacement_size = static_cast<uint8_t>(size);
        return reader_.take_number(size, result_.displacement);
    }

    bool read_immediate() {
        const unsigned word = operand_size() == 2 ? 2 : 4;
        unsigned size = 0;
        switch (immediate()) {
        case immediate_kind::none:
        case immediate_kind::address:
            return true;
        case immediate_kind::imm8:
        case immediate_kind::suffix_3dnow:
            size = 1;
            break;
        case immediate_kind::imm16:
            size = 2;
            break;
        case immediate_kind::imm_z:
            size = word;
            break;
        case immediate_kind::imm_v:
            size = operand_size();
            break;
        case immediate_kind::imm64:
            size = 8;
            break;
        case immediate_kind::imm16_imm8:
            size = 3;
            break;
        case immediate_kind::far_pointer:
            size = word + 2;
            break;
        }
        result_.immediate_offset = reader_.position();
        result_.immediate_size = static_cast<uint8_t>(size);
        return reader_.take_number(size, result_.immediate);
    }

    /// 3DNow!'s opcode comes last. [amd/vol3 A.1.2]
    bool check_immediate() {
        return immediate() != immediate_kind::suffix_3dnow ||
               is_3dnow_opcode(static_cast<uint8_t>(result_.immediate)) ||
               refuse(decode_error::unknown);
    }

    byte_reader reader_;
    width mode_;
    decode_error error_; // until something is refused: why there is no further byte
    const opcode_table* table_ = nullptr;
    row_query query_{};
    traits what_ = 0;
    bool has_r4_ = false;
    instruction result_{};
};

} // namespace

base::expected<instruction, decode_error> decode(const uint8_t* bytes, size_t available,
                                                 width mode) {
    return decoder(bytes, available, mode).run();
}

} // namespace nmisafe::x86
