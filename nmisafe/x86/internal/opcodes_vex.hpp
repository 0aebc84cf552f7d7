// SPDX-License-Identifier: MIT
/// The VEX maps: BMI, AVX and its followers, AVX-512's mask instructions, AMX, AMD's FMA4. Left out
/// is Knights Corner's. Which registers a gather, a mask or a tile may be is not looked at.
/// [intel/vol2 3-5, opcode columns]
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

// clang-format off
inline constexpr opcode_row vex_0f_rows[] = {
    {{0x10, 0x11}, modrm | np | p66}, {{0x10, 0x11}, memory | pf3 | pf2},
    {{0x10, 0x11}, registers | pf3 | pf2 | vvvv},
    {0x12, modrm | np | vvvv | l0}, {0x12, memory | p66 | vvvv | l0}, {0x12, modrm | pf3 | pf2},
    {0x13, memory | np | p66 | l0}, {{0x14, 0x15}, modrm | np | p66 | vvvv},
    {0x16, modrm | np | vvvv | l0}, {0x16, memory | p66 | vvvv | l0}, {0x16, modrm | pf3},
    {0x17, memory | np | p66 | l0},
    {{0x28, 0x29}, modrm | np | p66}, {0x2a, modrm | pf3 | pf2 | vvvv}, {0x2b, memory | np | p66},
    {{0x2c, 0x2d}, modrm | pf3 | pf2}, {{0x2e, 0x2f}, modrm | np | p66},
    // kand, kandn, knot, kor, kxnor, kxor, kadd, kunpck
    {{0x41, 0x42}, registers | np | p66 | vvvv | l1}, {0x44, registers | np | p66 | l0},
    {{0x45, 0x47}, registers | np | p66 | vvvv | l1}, {0x4a, registers | np | p66 | vvvv | l1},
    {0x4b, registers | np | vvvv | l1}, {0x4b, registers | p66 | vvvv | l1 | w0},
    {0x50, registers | np | p66}, {0x51, modrm | np | p66}, {0x51, modrm | pf3 | pf2 | vvvv},
    {{0x52, 0x53}, modrm | np}, {{0x52, 0x53}, modrm | pf3 | vvvv},
    {{0x54, 0x57}, modrm | np | p66 | vvvv}, {{0x58, 0x59}, modrm | vvvv},
    {0x5a, modrm | np | p66}, {0x5a, modrm | pf3 | pf2 | vvvv}, {0x5b, modrm | np | p66 | pf3},
    {{0x5c, 0x5f}, modrm | vvvv},
    {{0x60, 0x6d}, modrm | p66 | vvvv}, {0x6e, modrm | p66 | l0}, {0x6f, modrm | p66 | pf3},
    {0x70, modrm | p66 | pf3 | pf2 | imm8},
    {{0x71, 0x72}, registers | p66 | imm8 | vvvv, only(2, 4, 6)},
    {0x73, registers | p66 | imm8 | vvvv, only(2, 3, 6, 7)},
    {{0x74, 0x76}, modrm | p66 | vvvv}, {0x77, np}, // vzeroupper, vzeroall
    {{0x7c, 0x7d}, modrm | p66 | pf2 | vvvv}, {0x7e, modrm | p66 | pf3 | l0},
    {0x7f, modrm | p66 | pf3},
    // kmov, kortest, ktest
    {0x90, modrm | np | p66 | l0}, {0x91, memory | np | p66 | l0},
    {{0x92, 0x93}, registers | np | p66 | w0 | l0}, {{0x92, 0x93}, registers | pf2 | l0},
    {{0x98, 0x99}, registers | np | p66 | l0},
    {0xae, memory | np | l0, only(2, 3)}, {0xc2, modrm | imm8 | vvvv},
    {0xc4, modrm | p66 | imm8 | vvvv | l0}, {0xc5, registers | p66 | imm8 | l0},
    {0xc6, modrm | np | p66 | imm8 | vvvv},
    {0xd0, modrm | p66 | pf2 | vvvv}, {{0xd1, 0xd5}, modrm | p66 | vvvv}, {0xd6, modrm | p66 | l0},
    {0xd7, registers | p66}, {{0xd8, 0xe5}, modrm | p66 | vvvv}, {0xe6, modrm | p66 | pf3 | pf2},
    {0xe7, memory | p66}, {{0xe8, 0xef}, modrm | p66 | vvvv}, {0xf0, memory | pf2},
    {{0xf1, 0xf6}, modrm | p66 | vvvv}, {0xf7, registers | p66 | l0},
    {{0xf8, 0xfe}, modrm | p66 | vvvv},
};

inline constexpr opcode_row vex_0f38_rows[] = {
    {{0x00, 0x0b}, modrm | p66 | vvvv}, {{0x0c, 0x0d}, modrm | p66 | vvvv | w0},
    {{0x0e, 0x0f}, modrm | p66 | w0}, {0x13, modrm | p66 | w0},
    {0x16, modrm | p66 | vvvv | l1 | w0},
    {0x17, modrm | p66}, {0x18, modrm | p66 | w0}, {0x19, modrm | p66 | l1 | w0},
    {0x1a, memory | p66 | l1 | w0}, {{0x1c, 0x1e}, modrm | p66}, {{0x20, 0x25}, modrm | p66},
    {{0x28, 0x29}, modrm | p66 | vvvv}, {0x2a, memory | p66}, {0x2b, modrm | p66 | vvvv},
    {{0x2c, 0x2f}, memory | p66 | vvvv | w0}, {{0x30, 0x35}, modrm | p66},
    {0x36, modrm | p66 | vvvv | l1 | w0}, {{0x37, 0x40}, modrm | p66 | vvvv},
    {0x41, modrm | p66 | l0}, {0x45, modrm | p66 | vvvv}, {0x46, modrm | p66 | vvvv | w0},
    {0x47, modrm | p66 | vvvv},
    // AMX: ldtilecfg, sttilecfg, tilerelease, tilezero, tile loads and stores
    {0x49, memory | np | p66 | l0 | w0 | only_64, only(0)},
    {0x49, registers | np | l0 | w0 | only_64, only(0), only(0)},
    {0x49, registers | pf2 | l0 | w0 | only_64, any, only(0)},
    {0x4b, memory | sib | p66 | pf3 | pf2 | l0 | w0 | only_64},
    {{0x50, 0x51}, modrm | vvvv | w0}, {{0x52, 0x53}, modrm | p66 | vvvv | w0}, // VNNI
    {{0x58, 0x59}, modrm | p66 | w0}, {0x5a, memory | p66 | l1 | w0},
    {0x5c, registers | pf3 | pf2 | vvvv | l0 | w0 | only_64}, // AMX
    {0x5e, registers | vvvv | l0 | w0 | only_64},
    {0x6c, registers | np | p66 | vvvv | l0 | w0 | only_64},
    {0x72, modrm | pf3 | w0}, // vcvtneps2bf16
    {{0x78, 0x79}, modrm | p66 | w0}, {0x8c, memory | p66 | vvvv}, {0x8e, memory | p66 | vvvv},
    {{0x90, 0x93}, memory | sib | p66 | vvvv}, // gathers
    // FMA
    {{0x96, 0x9f}, modrm | p66 | vvvv}, {{0xa6, 0xaf}, modrm | p66 | vvvv},
    // vcvtne..., vbcstne...; vpmadd52
    {0xb0, memory | w0}, {0xb1, memory | p66 | pf3 | w0}, {{0xb4, 0xb5}, modrm | p66 | vvvv | w1},
    {{0xb6, 0xbf}, modrm | p66 | vvvv},
    // SHA512, SM3, SM4, VNNI-INT16
    {0xcb, registers | pf2 | vvvv | l1 | w0}, {{0xcc, 0xcd}, registers | pf2 | l1 | w0},
    {0xcf, modrm | p66 | vvvv | w0}, {{0xd2, 0xd3}, modrm | np | p66 | pf3 | vvvv | w0},
    {0xda, modrm | pf3 | pf2 | vvvv | w0}, {0xda, modrm | np | p66 | vvvv | l0 | w0},
    {0xdb, modrm | p66 | l0}, {{0xdc, 0xdf}, modrm | p66 | vvvv},
    {{0xe0, 0xef}, memory | p66 | vvvv | l0 | only_64}, // cmpccxadd
    // BMI: andn, blsr to blsi, bzhi, pdep, pext, mulx, shifts and bextr
    {0xf2, modrm | np | vvvv | l0}, {0xf3, modrm | np | vvvv | l0, from_to(1, 3)},
    {0xf5, modrm | np | pf3 | pf2 | vvvv | l0}, {0xf6, modrm | pf2 | vvvv | l0},
    {0xf7, modrm | vvvv | l0},
};

inline constexpr opcode_row vex_0f3a_rows[] = {
    {{0x00, 0x01}, modrm | p66 | imm8 | l1 | w1}, {0x02, modrm | p66 | imm8 | vvvv | w0},
    {{0x04, 0x05}, modrm | p66 | imm8 | w0}, {0x06, modrm | p66 | imm8 | vvvv | l1 | w0},
    {{0x08, 0x09}, modrm | p66 | imm8}, {{0x0a, 0x0f}, modrm | p66 | imm8 | vvvv},
    {{0x14, 0x17}, modrm | p66 | imm8 | l0}, {0x18, modrm | p66 | imm8 | vvvv | l1 | w0},
    {0x19, modrm | p66 | imm8 | l1 | w0}, {0x1d, modrm | p66 | imm8 | w0},
    {{0x20, 0x22}, modrm | p66 | imm8 | vvvv | l0},
    // kshift
    {{0x30, 0x33}, registers | p66 | imm8 | l0},
    {0x38, modrm | p66 | imm8 | vvvv | l1 | w0}, {0x39, modrm | p66 | imm8 | l1 | w0},
    {0x40, modrm | p66 | imm8 | vvvv}, {0x41, modrm | p66 | imm8 | vvvv | l0},
    {0x42, modrm | p66 | imm8 | vvvv}, {0x44, modrm | p66 | imm8 | vvvv},
    {0x46, modrm | p66 | imm8 | vvvv | l1 | w0},
    {{0x48, 0x49}, modrm | p66 | imm8 | vvvv}, // XOP's vpermil2
    {{0x4a, 0x4c}, modrm | p66 | imm8 | vvvv | w0},
    {{0x5c, 0x5f}, modrm | p66 | imm8 | vvvv}, // FMA4
    {{0x60, 0x63}, modrm | p66 | imm8 | l0},
    {{0x68, 0x6f}, modrm | p66 | imm8 | vvvv}, {{0x78, 0x7f}, modrm | p66 | imm8 | vvvv}, // FMA4
    {{0xce, 0xcf}, modrm | p66 | imm8 | vvvv | w1},
    {0xde, modrm | p66 | imm8 | vvvv | l0 | w0}, // vsm3rnds2
    {0xdf, modrm | p66 | imm8 | l0}, {0xf0, modrm | pf2 | imm8 | l0}, // rorx
};

inline constexpr opcode_row vex_7_rows[] = {
    {0xf8, registers | pf3 | pf2 | imm_z | l0 | w0 | only_64 | sys, only(0)}, // uwrmsr, urdmsr
};
// clang-format on

} // namespace nmisafe::x86::internal
