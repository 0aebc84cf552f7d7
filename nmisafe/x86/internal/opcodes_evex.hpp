// SPDX-License-Identifier: MIT
/// The EVEX maps: AVX-512 and its followers, and what APX moves there. Rows say what there is and
/// how long it is; masks, W, L and the names of registers are not looked at.
/// [intel/vol2 2.7, opcode columns; intel/apx 3.1.3, appendix; intel/isa-extensions]
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

// clang-format off
inline constexpr opcode_row evex_0f_rows[] = {
    {{0x10, 0x11}, modrm}, {0x12, modrm | np | pf3 | pf2}, {0x12, memory | p66},
    {0x13, memory | np | p66}, {{0x14, 0x15}, modrm | np | p66}, {0x16, modrm | np | pf3},
    {0x16, memory | p66}, {0x17, memory | np | p66}, {{0x28, 0x29}, modrm | np | p66},
    {0x2a, modrm | pf3 | pf2}, {0x2b, memory | np | p66}, {{0x2c, 0x2d}, modrm | pf3 | pf2},
    {{0x2e, 0x2f}, modrm | np | p66}, {0x51, modrm}, {{0x54, 0x57}, modrm | np | p66},
    {{0x58, 0x5a}, modrm}, {0x5b, modrm | np | p66 | pf3}, {{0x5c, 0x5f}, modrm},
    {{0x60, 0x6e}, modrm | p66}, {0x6f, modrm | p66 | pf3 | pf2},
    {0x70, modrm | p66 | pf3 | pf2 | imm8}, {0x71, modrm | p66 | imm8, only(2, 4, 6)},
    {0x72, modrm | p66 | imm8, only(0, 1, 2, 4, 6)}, {0x73, modrm | p66 | imm8, only(2, 3, 6, 7)},
    {{0x74, 0x76}, modrm | p66}, {{0x78, 0x79}, modrm}, {{0x7a, 0x7b}, modrm | p66 | pf3 | pf2},
    {0x7e, modrm | p66 | pf3}, {0x7f, modrm | p66 | pf3 | pf2}, {0x90, modrm | np | p66 | only_64},
    {0x91, memory | np | p66 | only_64}, {{0x92, 0x93}, registers | np | p66 | pf2 | only_64},
    {0xc2, modrm | imm8}, {0xc4, modrm | p66 | imm8}, {0xc5, registers | p66 | imm8},
    {0xc6, modrm | np | p66 | imm8}, {{0xd1, 0xd6}, modrm | p66}, {{0xd8, 0xe5}, modrm | p66},
    {0xe6, modrm | p66 | pf3 | pf2}, {0xe7, memory | p66}, {{0xe8, 0xef}, modrm | p66},
    {{0xf1, 0xf6}, modrm | p66}, {{0xf8, 0xfe}, modrm | p66},
};

inline constexpr opcode_row evex_0f38_rows[] = {
    {0x00, modrm | p66}, {0x04, modrm | p66}, {{0x0b, 0x0d}, modrm | p66},
    {{0x10, 0x15}, modrm | p66 | pf3}, {0x16, modrm | p66}, {{0x18, 0x19}, modrm | p66},
    {{0x1a, 0x1b}, memory | p66}, {{0x1c, 0x1f}, modrm | p66}, {{0x20, 0x27}, modrm | p66 | pf3},
    {{0x28, 0x29}, modrm | p66}, {{0x28, 0x29}, registers | pf3}, {0x2a, memory | p66},
    {0x2a, registers | pf3}, {{0x2b, 0x2d}, modrm | p66}, {{0x30, 0x35}, modrm | p66 | pf3},
    {{0x36, 0x37}, modrm | p66}, {{0x38, 0x3a}, modrm | p66}, {{0x38, 0x3a}, registers | pf3},
    {{0x3b, 0x40}, modrm | p66}, {{0x42, 0x47}, modrm | p66},
    {0x49, memory | np | p66 | only_64, only(0)}, {0x4b, memory | sib | p66 | pf3 | pf2 | only_64},
    {{0x4c, 0x51}, modrm | p66}, {0x52, modrm | p66 | pf3}, {0x52, memory | pf2},
    {0x53, modrm | p66}, {0x53, memory | pf2}, {{0x54, 0x55}, modrm | p66},
    {{0x58, 0x59}, modrm | p66}, {{0x5a, 0x5b}, memory | p66}, {{0x62, 0x66}, modrm | p66},
    {0x68, modrm | pf2}, {{0x70, 0x71}, modrm | p66}, {0x72, modrm | p66 | pf3 | pf2},
    {0x73, modrm | p66}, {{0x75, 0x79}, modrm | p66}, {{0x7a, 0x7c}, registers | p66},
    {{0x7d, 0x7f}, modrm | p66}, {0x83, modrm | p66}, {{0x88, 0x8b}, modrm | p66},
    {0x8d, modrm | p66}, {0x8f, modrm | p66}, {{0x90, 0x93}, memory | sib | p66},
    {{0x96, 0x99}, modrm | p66}, {{0x9a, 0x9b}, modrm | p66}, {{0x9a, 0x9b}, memory | pf2},
    {{0x9c, 0x9f}, modrm | p66}, {{0xa0, 0xa3}, memory | sib | p66}, {{0xa6, 0xa9}, modrm | p66},
    {{0xaa, 0xab}, modrm | p66}, {{0xaa, 0xab}, memory | pf2}, {{0xac, 0xaf}, modrm | p66},
    {{0xb4, 0xbf}, modrm | p66}, {0xc4, modrm | p66},
    {{0xc6, 0xc7}, memory | sib | p66, only(1, 2, 5, 6)}, {0xc8, modrm | p66},
    {{0xca, 0xcd}, modrm | p66}, {0xcf, modrm | p66}, {{0xdc, 0xdf}, modrm | p66},
    {{0xe0, 0xef}, memory | p66 | only_64}, {0xf2, modrm | np | only_64},
    {0xf3, modrm | np | only_64, only(1, 2, 3)}, {0xf5, modrm | np | pf3 | pf2 | only_64},
    {0xf6, modrm | pf2 | only_64}, {0xf7, modrm | only_64},
};

inline constexpr opcode_row evex_0f3a_rows[] = {
    {{0x00, 0x01}, modrm | p66 | imm8}, {{0x03, 0x05}, modrm | p66 | imm8},
    {0x08, modrm | np | p66 | imm8}, {0x09, modrm | p66 | imm8}, {0x0a, modrm | np | p66 | imm8},
    {0x0b, modrm | p66 | imm8}, {0x0f, modrm | p66 | imm8}, {{0x14, 0x1b}, modrm | p66 | imm8},
    {{0x1d, 0x23}, modrm | p66 | imm8}, {0x25, modrm | p66 | imm8},
    {{0x26, 0x27}, modrm | np | p66 | imm8}, {{0x38, 0x3b}, modrm | p66 | imm8},
    {{0x3e, 0x3f}, modrm | p66 | imm8}, {{0x42, 0x44}, modrm | p66 | imm8},
    {{0x50, 0x51}, modrm | p66 | imm8}, {{0x54, 0x55}, modrm | p66 | imm8},
    {{0x56, 0x57}, modrm | np | p66 | imm8}, {{0x66, 0x67}, modrm | np | p66 | imm8},
    {{0x70, 0x73}, modrm | p66 | imm8}, {0xc2, modrm | np | pf3 | imm8},
    {{0xce, 0xcf}, modrm | p66 | imm8}, {0xf0, modrm | pf2 | imm8 | only_64},
};

/// Legacy instructions with more registers, another destination, or without a result in the flags.
inline constexpr traits apx = modrm | only_64;
inline constexpr opcode_row evex_4_rows[] = {
    {{0x00, 0x03}, apx}, {{0x08, 0x0b}, apx}, {{0x10, 0x13}, apx | np | p66},
    {{0x18, 0x1b}, apx | np | p66}, {{0x20, 0x23}, apx}, {0x24, apx | imm8}, // ..., shld
    {{0x28, 0x2b}, apx}, {0x2c, apx | imm8}, {{0x30, 0x33}, apx}, // sub, shrd, xor
    {{0x38, 0x3b}, apx | np | p66}, {{0x40, 0x4f}, apx}, // ccmp; cmov, cfcmov, setcc
    {{0x60, 0x61}, apx | np | p66}, // movbe
    {0x65, memory | p66 | only_64 | sys}, {0x66, memory | np | only_64 | sys}, // wruss, wrss
    {0x66, apx | p66 | pf3}, // adcx, adox
    {0x69, apx | imm_z}, {0x6b, apx | imm8}, // imul
    {0x80, apx | imm8}, {0x81, apx | imm_z}, {0x83, apx | imm8},
    {{0x84, 0x85}, apx | np | p66}, {0x88, apx}, // ctest, popcnt
    {0x8f, registers | np | only_64, only(0)}, // pop2
    {0xa5, apx}, {0xad, apx}, {0xaf, apx}, // shld, shrd, imul
    {{0xc0, 0xc1}, apx | imm8}, {{0xd0, 0xd3}, apx}, // shifts
    {{0xf0, 0xf1}, memory | pf3 | only_64 | vm}, {{0xf0, 0xf1}, apx | np | p66}, // invept...; crc32
    {0xf2, memory | pf3 | only_64 | sys}, {{0xf4, 0xf5}, apx}, // invpcid; tzcnt, lzcnt
    {0xf6, apx | np | imm8, from_to(0, 1)}, {0xf6, apx, from_to(2, 7)}, // ctest; not to idiv
    {0xf7, apx | np | p66 | imm_z, from_to(0, 1)}, {0xf7, apx, from_to(2, 7)},
    {0xf8, memory | p66 | pf3 | pf2 | only_64}, // movdir64b, enqcmd
    {0xf8, registers | pf3 | pf2 | only_64 | sys}, // urdmsr, uwrmsr
    {0xf9, memory | np | only_64}, {0xfc, memory | only_64}, // movdiri; aadd and the like
    {0xfe, apx, from_to(0, 1)}, {0xff, apx, from_to(0, 1)}, // inc, dec
    {0xff, registers | np | only_64, only(6)}, // push2
};

/// AVX-512 on 16-bit floating-point numbers.
inline constexpr opcode_row evex_5_rows[] = {
    {{0x10, 0x11}, modrm | pf3}, {0x1d, modrm | np | p66}, {0x2a, modrm | pf3},
    {{0x2c, 0x2d}, modrm | pf3}, {{0x2e, 0x2f}, modrm | np}, {0x51, modrm | np | pf3},
    {{0x58, 0x59}, modrm | np | pf3}, {0x5a, modrm}, {0x5b, modrm | np | p66 | pf3},
    {{0x5c, 0x5f}, modrm | np | pf3}, {0x6e, modrm | p66}, {{0x78, 0x79}, modrm | np | p66 | pf3},
    {0x7a, modrm | p66 | pf2}, {0x7b, modrm | p66 | pf3}, {0x7c, modrm | np | p66}, {0x7d, modrm},
    {0x7e, modrm | p66},
};

inline constexpr opcode_row evex_6_rows[] = {
    {0x13, modrm | np | p66}, {{0x2c, 0x2d}, modrm | p66}, {{0x42, 0x43}, modrm | p66},
    {{0x4c, 0x4f}, modrm | p66}, {{0x56, 0x57}, modrm | pf3 | pf2}, {{0x96, 0x9f}, modrm | p66},
    {{0xa6, 0xaf}, modrm | p66}, {{0xb6, 0xbf}, modrm | p66}, {{0xd6, 0xd7}, modrm | pf3 | pf2},
};

inline constexpr opcode_row evex_7_rows[] = {
    {0xf8, registers | pf3 | pf2 | imm_z | only_64 | sys, only(0)}, // uwrmsr, urdmsr
};
// clang-format on

} // namespace nmisafe::x86::internal
