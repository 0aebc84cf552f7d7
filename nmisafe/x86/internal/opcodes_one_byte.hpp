// SPDX-License-Identifier: MIT
/// The one-byte opcodes but for x87. [intel/vol2 appendix A, tables]
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

// 0f is not an opcode here; c4, c5, 62 and d5 are what they are without VEX, EVEX and REX2.
// clang-format off
inline constexpr opcode_row one_byte_rows[] = {
    // add, or, adc, sbb, and, sub, xor, cmp
    {{0x00, 0x01}, modrm | lock}, {{0x02, 0x03}, modrm}, {0x04, imm8}, {0x05, imm_z},
    {0x06, only_32}, {0x07, only_32 | sys}, // push, pop es
    {{0x08, 0x09}, modrm | lock}, {{0x0a, 0x0b}, modrm}, {0x0c, imm8}, {0x0d, imm_z},
    {0x0e, only_32}, // push cs
    {{0x10, 0x11}, modrm | lock}, {{0x12, 0x13}, modrm}, {0x14, imm8}, {0x15, imm_z},
    {0x16, only_32}, {0x17, only_32 | is(instruction_class::load_stack_segment)}, // push, pop ss
    {{0x18, 0x19}, modrm | lock}, {{0x1a, 0x1b}, modrm}, {0x1c, imm8}, {0x1d, imm_z},
    {0x1e, only_32}, {0x1f, only_32 | sys}, // push, pop ds
    {{0x20, 0x21}, modrm | lock}, {{0x22, 0x23}, modrm}, {0x24, imm8}, {0x25, imm_z},
    {0x27, only_32}, // daa
    {{0x28, 0x29}, modrm | lock}, {{0x2a, 0x2b}, modrm}, {0x2c, imm8}, {0x2d, imm_z},
    {0x2f, only_32}, // das
    {{0x30, 0x31}, modrm | lock}, {{0x32, 0x33}, modrm}, {0x34, imm8}, {0x35, imm_z},
    {0x37, only_32}, // aaa
    {{0x38, 0x3b}, modrm}, {0x3c, imm8}, {0x3d, imm_z},
    {0x3f, only_32}, // aas

    {{0x40, 0x4f}, only_32}, // inc, dec
    {{0x50, 0x5f}, 0},       // push, pop
    {{0x60, 0x61}, only_32}, // pusha, popa
    {0x62, only_32 | memory}, // bound
    {0x63, modrm},            // arpl, movsxd
    {0x68, imm_z}, {0x69, modrm | imm_z}, {0x6a, imm8}, {0x6b, modrm | imm8}, // push, imul
    {{0x6c, 0x6f}, is(instruction_class::port_io)},
    {{0x70, 0x7f}, imm8 | is(instruction_class::jump_conditional)},

    // add to cmp with an immediate; cmp writes nothing
    {0x80, modrm | imm8 | lock, from_to(0, 6)}, {0x80, modrm | imm8, only(7)},
    {0x81, modrm | imm_z | lock, from_to(0, 6)}, {0x81, modrm | imm_z, only(7)},
    {0x82, only_32 | modrm | imm8 | lock, from_to(0, 6)}, {0x82, only_32 | modrm | imm8, only(7)},
    {0x83, modrm | imm8 | lock, from_to(0, 6)}, {0x83, modrm | imm8, only(7)},
    {{0x84, 0x85}, modrm},        // test
    {{0x86, 0x87}, modrm | lock}, // xchg
    {{0x88, 0x8b}, modrm},        // mov
    {0x8c, modrm, from_to(0, 5)}, // mov from a segment register
    {0x8d, memory},               // lea
    {0x8e, modrm | is(instruction_class::load_stack_segment), only(2)},
    {0x8e, modrm | sys, only(0, 3, 4, 5)},
    {0x8f, modrm, only(0)}, // pop; the rest is XOP
    {{0x90, 0x99}, 0},      // xchg, cbw, cwd
    {0x9a, only_32 | with(immediate_kind::far_pointer) | is(instruction_class::far_branch)},
    {0x9b, 0}, // wait
    {0x9c, is(instruction_class::push_flags)}, {0x9d, is(instruction_class::pop_flags)},
    {{0x9e, 0x9f}, 0}, // sahf, lahf
    {{0xa0, 0xa3}, with(immediate_kind::address)},
    {{0xa4, 0xa7}, 0}, {0xa8, imm8}, {0xa9, imm_z}, {{0xaa, 0xaf}, 0}, // strings, test
    {{0xb0, 0xb7}, imm8}, {{0xb8, 0xbf}, imm_v},                      // mov

    {{0xc0, 0xc1}, modrm | imm8}, // shifts; /6 is shl again
    {0xc2, imm16 | is(instruction_class::return_near)},
    {0xc3, is(instruction_class::return_near)},
    {{0xc4, 0xc5}, only_32 | memory | sys}, // les, lds
    {0xc6, modrm | imm8, only(0)},
    {0xc6, registers | imm8 | is(instruction_class::transaction), only(7), only(0)}, // xabort
    {0xc7, modrm | imm_z, only(0)},
    {0xc7, registers | imm_z | is(instruction_class::transaction), only(7), only(0)}, // xbegin
    {0xc8, with(immediate_kind::imm16_imm8)}, {0xc9, 0}, // enter, leave
    {0xca, imm16 | is(instruction_class::return_far)},
    {0xcb, is(instruction_class::return_far)},
    {0xcc, is(instruction_class::breakpoint)},
    {0xcd, imm8 | is(instruction_class::software_interrupt)},
    {0xce, only_32 | is(instruction_class::software_interrupt)},
    {0xcf, is(instruction_class::interrupt_return)},
    {{0xd0, 0xd3}, modrm},                              // shifts
    {{0xd4, 0xd5}, only_32 | imm8}, {0xd6, only_32}, // aam, aad, salc
    {0xd7, 0},                                       // xlat

    {{0xe0, 0xe2}, imm8 | is(instruction_class::loop)},
    {0xe3, imm8 | is(instruction_class::jump_cx_zero)},
    {{0xe4, 0xe7}, imm8 | is(instruction_class::port_io)},
    {0xe8, imm_z | is(instruction_class::call_relative)},
    {0xe9, imm_z | is(instruction_class::jump_relative)},
    {0xea, only_32 | with(immediate_kind::far_pointer) | is(instruction_class::far_branch)},
    {0xeb, imm8 | is(instruction_class::jump_relative)},
    {{0xec, 0xef}, is(instruction_class::port_io)},

    {0xf1, is(instruction_class::software_interrupt)}, // int1
    {0xf4, is(instruction_class::halt)},
    {0xf5, 0},                                                              // cmc
    {0xf6, modrm | imm8, from_to(0, 1)}, {0xf6, modrm | lock, from_to(2, 3)}, // test; not, neg
    {0xf6, modrm, from_to(4, 7)},                                           // mul, div
    {0xf7, modrm | imm_z, from_to(0, 1)}, {0xf7, modrm | lock, from_to(2, 3)},
    {0xf7, modrm, from_to(4, 7)},
    {{0xf8, 0xf9}, 0}, // clc, stc
    {0xfa, is(instruction_class::disable_interrupts)},
    {0xfb, is(instruction_class::enable_interrupts)},
    {{0xfc, 0xfd}, 0},                    // cld, std
    {0xfe, modrm | lock, from_to(0, 1)}, // inc, dec
    {0xff, modrm | lock, from_to(0, 1)},
    {0xff, modrm | is(instruction_class::call_indirect), only(2)},
    {0xff, memory | is(instruction_class::far_branch), only(3, 5)},
    {0xff, modrm | is(instruction_class::jump_indirect), only(4)},
    {0xff, modrm, only(6)}, // push
};

/// Behind a REX2 only, in place of a MOV.
inline constexpr opcode_row rex2_rows[] = {
    {0xa1, with(immediate_kind::imm64) | is(instruction_class::jump_absolute)},
};

/// The x87 escapes d8 to df, without aliases that no manual has. [intel/vol2 tables]
inline constexpr opcode_row x87_rows[] = {
    {0xd8, modrm},
    {0xd9, memory, only(0, 2, 3, 4, 5, 6, 7)},
    {0xd9, registers, only(0, 1, 6, 7)},         // fld, fxch and the functions
    {0xd9, registers, only(2), only(0)},         // fnop
    {0xd9, registers, only(4), only(0, 1, 4, 5)}, // fchs, fabs, ftst, fxam
    {0xd9, registers, only(5), from_to(0, 6)},   // constants
    {0xda, memory},
    {0xda, registers, from_to(0, 3)},    // fcmov
    {0xda, registers, only(5), only(1)}, // fucompp
    {0xdb, memory, only(0, 1, 2, 3, 5, 7)},
    {0xdb, registers, only(0, 1, 2, 3, 5, 6)},
    {0xdb, registers, only(4), only(2, 3)}, // fnclex, fninit
    {0xdc, memory},
    {0xdc, registers, only(0, 1, 4, 5, 6, 7)},
    {0xdd, memory, only(0, 1, 2, 3, 4, 6, 7)},
    {0xdd, registers, only(0, 2, 3, 4, 5)},
    {0xde, memory},
    {0xde, registers, only(0, 1, 4, 5, 6, 7)},
    {0xde, registers, only(3), only(1)}, // fcompp
    {0xdf, memory},
    {0xdf, registers, only(4), only(0)}, // fnstsw
    {0xdf, registers, only(5, 6)},
};
// clang-format on

} // namespace nmisafe::x86::internal
