// SPDX-License-Identifier: MIT
/// The vocabulary of the opcode tables.
///
/// A map is a list of rows, sorted by their first opcode. The first row that covers an opcode and
/// whose conditions hold describes the instruction; if there is none it is unknown. Conditions that
/// a row does not state hold always, so rows say only what restricts an instruction.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::x86::internal {

using traits = uint32_t;

/// The operand after the displacement. Sizes are effective ones.
enum class immediate_kind : uint8_t {
    none,
    imm8,
    imm16,
    imm_z,        // operand size, but 4 for an operand of 8
    imm_v,        // operand size
    imm16_imm8,   // enter
    far_pointer,  // imm_z and a selector
    address,      // an absolute address of address size, in place of a displacement
    imm64,        // jmpabs
    suffix_3dnow, // an opcode
};

// Mandatory prefix: F2 and F3 go before 66, the last of both counts. In VEX the field pp.
inline constexpr traits np = 1 << 0;
inline constexpr traits p66 = 1 << 1;
inline constexpr traits pf3 = 1 << 2;
inline constexpr traits pf2 = 1 << 3;
inline constexpr traits any_prefix = np | p66 | pf3 | pf2;

// A ModRM byte follows, which names memory, a register or either. None of both: no ModRM.
inline constexpr traits memory = 1 << 4;
inline constexpr traits registers = 1 << 5;
inline constexpr traits modrm = memory | registers;
// ModRM names a register whatever its mod says: mov to and from CR and DR.
inline constexpr traits mod_ignored = 1 << 6 | modrm;

inline constexpr traits only_32 = 1 << 7;
inline constexpr traits only_64 = 1 << 8;

// Takes LOCK if its destination is memory.
inline constexpr traits lock = 1 << 9;
// ModRM.reg is a control register: 0, 2, 3, 4 or 8.
inline constexpr traits control = 1 << 10;
// REX.R must not extend ModRM.reg.
inline constexpr traits low_reg = 1 << 11;

// VEX only. Without vvvv the field must be 1111.
inline constexpr traits vvvv = 1 << 12;
inline constexpr traits l0 = 1 << 13;
inline constexpr traits l1 = 1 << 14;
inline constexpr traits w0 = 1 << 15;
inline constexpr traits w1 = 1 << 16;

inline constexpr unsigned immediate_shift = 17;
inline constexpr unsigned class_shift = 21;
inline constexpr traits class_mask = 31u << class_shift;

// The memory operand needs a SIB byte: gathers, tiles.
inline constexpr traits sib = 1 << 26;
// Does not take a REX2: the XSAVE family; 3DNow! and SSE4a, which are of other CPUs.
inline constexpr traits no_rex2 = 1 << 27;

constexpr traits with(immediate_kind immediate) {
    return static_cast<traits>(immediate) << immediate_shift;
}
constexpr traits is(instruction_class kind) {
    return static_cast<traits>(kind) << class_shift;
}

inline constexpr traits imm8 = with(immediate_kind::imm8);
inline constexpr traits imm16 = with(immediate_kind::imm16);
inline constexpr traits imm_z = with(immediate_kind::imm_z);
inline constexpr traits imm_v = with(immediate_kind::imm_v);
inline constexpr traits sys = is(instruction_class::system);
inline constexpr traits vm = is(instruction_class::virtual_machine);

/// A set of values of a three-bit field.
template <typename... Values>
constexpr uint8_t only(Values... values) {
    return static_cast<uint8_t>((0u | ... | (1u << values)));
}
constexpr uint8_t from_to(unsigned first, unsigned last) {
    return static_cast<uint8_t>((2u << last) - (1u << first));
}
inline constexpr uint8_t any = 0xff;

/// One opcode or a range of them.
struct opcodes {
    uint8_t first;
    uint8_t last;

    consteval opcodes(int opcode) : opcodes(opcode, opcode) {}
    consteval opcodes(int first_opcode, int last_opcode)
        : first(static_cast<uint8_t>(first_opcode)), last(static_cast<uint8_t>(last_opcode)) {}
};

struct opcode_row {
    opcodes range;
    uint8_t reg; // values of ModRM.reg that it covers
    uint8_t rm;  // values of ModRM.rm that it covers
    traits what;

    consteval opcode_row(opcodes row_range, traits row_traits, uint8_t reg_values = any,
                         uint8_t rm_values = any)
        : range(row_range), reg(reg_values), rm(rm_values), what(row_traits) {}
};
static_assert(sizeof(opcode_row) == 8);

} // namespace nmisafe::x86::internal
