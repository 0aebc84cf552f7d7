// SPDX-License-Identifier: MIT
/// The prefixes in front of an opcode. [intel/vol2 2.1.1, 2.2.1]
#pragma once

#include "nmisafe/x86/instruction.hpp"
#include "nmisafe/x86/internal/byte_reader.hpp"

namespace nmisafe::x86::internal {

struct prefix_set {
    uint8_t legacy = 0; // of namespace prefix
    uint8_t rex = 0;
};

/// The legacy prefix that a byte is, or 0.
constexpr uint8_t legacy_prefix(uint8_t byte) {
    switch (byte) {
    case 0x66:
        return prefix::operand_size;
    case 0x67:
        return prefix::address_size;
    case 0xf0:
        return prefix::lock;
    case 0xf2:
        return prefix::repeat_not_equal;
    case 0xf3:
        return prefix::repeat;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
        return prefix::segment;
    default:
        return 0;
    }
}

/// Takes all prefixes. False: no byte follows them.
constexpr bool take_prefixes(byte_reader& reader, width mode, prefix_set& found) {
    constexpr uint8_t repeats = prefix::repeat | prefix::repeat_not_equal;
    for (uint8_t byte = 0; reader.peek(byte); reader.take(byte)) {
        const uint8_t flag = legacy_prefix(byte);
        if (flag == 0 && (mode != width::bits_64 || (byte & 0xf0) != 0x40))
            return true;
        // A REX that another prefix follows does not count.
        found.rex = flag == 0 ? byte : 0;
        if ((flag & repeats) != 0)
            found.legacy &= static_cast<uint8_t>(~repeats);
        found.legacy |= flag;
    }
    return false;
}

} // namespace nmisafe::x86::internal
