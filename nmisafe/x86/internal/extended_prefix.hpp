// SPDX-License-Identifier: MIT
/// The prefixes of several bytes behind the legacy ones, which name the opcode map: VEX, XOP, EVEX.
/// What they say of registers does not matter here. [intel/vol2 2.3.5, 2.7.1; amd/vol3 1.2.7;
/// intel/apx 3.1.3]
#pragma once

#include "nmisafe/x86/internal/byte_reader.hpp"
#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

/// Each member for itself: for `= {}` as a whole clang calls memset at -O0.
struct extended_prefix {
    encoding form{};
    uint8_t map = 0; // as the prefix numbers it
    traits mandatory_prefix{};
    bool w = false;
    bool l = false;
    bool vvvv_unused = false; // it is 1111
};

/// Why there is none.
enum class prefix_fault : uint8_t { none, cut_off, unknown };

/// W.vvvv.L.pp: the same byte in all of them, but that EVEX has its L elsewhere.
constexpr void read_vvvv_byte(uint8_t byte, extended_prefix& found) {
    constexpr traits prefix_of[] = {np, p66, pf3, pf2};
    found.mandatory_prefix = prefix_of[byte & 3];
    found.w = (byte & 0x80) != 0;
    found.l = (byte & 4) != 0;
    found.vvvv_unused = (byte & 0x78) == 0x78;
}

/// c5: R.vvvv.L.pp, of map 1.
constexpr prefix_fault take_vex_2(byte_reader& reader, extended_prefix& found) {
    uint8_t byte = 0;
    if (!reader.take(byte))
        return prefix_fault::cut_off;
    read_vvvv_byte(byte, found);
    found.w = false;
    found.form = encoding::vex;
    found.map = 1;
    return prefix_fault::none;
}

/// c4 and 8f: R.X.B.mmmmm, W.vvvv.L.pp.
constexpr prefix_fault take_vex_3(byte_reader& reader, encoding form, extended_prefix& found) {
    uint8_t byte = 0;
    if (!reader.take(byte))
        return prefix_fault::cut_off;
    found.form = form;
    found.map = byte & 0x1f;
    const bool exists = form == encoding::xop
                            ? found.map >= 8 && found.map <= 10
                            : (found.map >= 1 && found.map <= 3) || found.map == 7;
    if (!exists)
        return prefix_fault::unknown;
    if (!reader.take(byte))
        return prefix_fault::cut_off;
    read_vvvv_byte(byte, found);
    return prefix_fault::none;
}

/// 62: R.X.B.R4.B4.mmm, W.vvvv.X4.pp, and a byte that matters to the registers and the mask only.
/// B4 and the inverted X4 are APX's: without it, and in 32-bit mode, they are 0 and 1.
constexpr prefix_fault take_evex(byte_reader& reader, width mode, extended_prefix& found) {
    constexpr uint8_t b4 = 8;
    constexpr uint8_t no_x4 = 4;
    uint8_t byte = 0;
    if (!reader.take(byte))
        return prefix_fault::cut_off;
    found.form = encoding::evex;
    found.map = byte & 7;
    if (found.map == 0 || (mode == width::bits_32 && (byte & b4) != 0))
        return prefix_fault::unknown;
    if (!reader.take(byte))
        return prefix_fault::cut_off;
    if (mode == width::bits_32 && (byte & no_x4) == 0)
        return prefix_fault::unknown;
    read_vvvv_byte(byte, found);
    return reader.take(byte) ? prefix_fault::none : prefix_fault::cut_off;
}

} // namespace nmisafe::x86::internal
