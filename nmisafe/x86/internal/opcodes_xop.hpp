// SPDX-License-Identifier: MIT
/// The XOP maps: AMD's XOP, TBM and LWP. W, L and vvvv are not looked at.
/// [amd/vol3 A.1.2; amd/vol4]
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

// clang-format off
inline constexpr opcode_row xop_8_rows[] = {
    {{0x85, 0x87}, modrm | np | imm8}, {{0x8e, 0x8f}, modrm | np | imm8},
    {{0x95, 0x97}, modrm | np | imm8}, {{0x9e, 0x9f}, modrm | np | imm8},
    {{0xa2, 0xa3}, modrm | np | imm8}, {0xa6, modrm | np | imm8}, {0xb6, modrm | np | imm8},
    {{0xc0, 0xc3}, modrm | np | imm8}, {{0xcc, 0xcf}, modrm | np | imm8},
    {{0xec, 0xef}, modrm | np | imm8},
};
inline constexpr opcode_row xop_9_rows[] = {
    {0x01, modrm | np, only(1, 2, 3, 4, 5, 6, 7)}, {0x02, modrm | np, only(1, 6)},
    {0x12, registers | np, only(0, 1)}, {{0x80, 0x83}, modrm | np}, {{0x90, 0x9b}, modrm | np},
    {{0xc1, 0xc3}, modrm | np}, {{0xc6, 0xc7}, modrm | np}, {0xcb, modrm | np},
    {{0xd1, 0xd3}, modrm | np}, {{0xd6, 0xd7}, modrm | np}, {0xdb, modrm | np},
    {{0xe1, 0xe3}, modrm | np},
};
inline constexpr opcode_row xop_a_rows[] = {
    {0x10, modrm | np | imm_z}, {0x12, modrm | np | imm_z, only(0, 1)},
};

/// Of 3DNow!, behind the operands of 0f 0f. [amd/vol3 table A-13]
constexpr bool is_3dnow_opcode(uint8_t opcode) {
    constexpr uint8_t known[] = {0x0c, 0x0d, 0x1c, 0x1d, 0x8a, 0x8e, 0x90, 0x94,
                                 0x96, 0x97, 0x9a, 0x9e, 0xa0, 0xa4, 0xa6, 0xa7,
                                 0xaa, 0xae, 0xb0, 0xb4, 0xb6, 0xb7, 0xbb, 0xbf};
    for (const uint8_t one : known)
        if (one == opcode)
            return true;
    return false;
}
// clang-format on

} // namespace nmisafe::x86::internal
