// SPDX-License-Identifier: MIT
#include "tests/decoder/byte_strings.hpp"

namespace decoder_test {

namespace {

constexpr uint8_t prefixes[] = {0x66, 0x66, 0x66, 0xf2, 0xf2, 0xf3, 0xf3, 0xf3,
                                0xf0, 0x67, 0x67, 0x2e, 0x64, 0x65, 0x36, 0x26};

/// Half of the strings have none; some have so many that the instruction gets too long.
unsigned prefix_count(random_numbers& random) {
    const uint32_t number = random.below(64);
    return number < 32   ? 0
           : number < 48 ? 1
           : number < 58 ? 2
           : number < 62 ? 3
           : number < 63 ? 4
                         : 11;
}

} // namespace

byte_string uniform_string(random_numbers& random) {
    byte_string bytes;
    for (size_t i = 0; i < bytes.size(); i += 8) {
        const uint64_t number = random.next();
        for (size_t k = 0; k < 8; ++k)
            bytes[i + k] = static_cast<uint8_t>(number >> 8 * k);
    }
    return bytes;
}

byte_string instruction_like_string(random_numbers& random, nmisafe::x86::width mode) {
    byte_string bytes = uniform_string(random);
    size_t at = 0;
    for (unsigned i = prefix_count(random); i > 0; --i)
        bytes[at++] = prefixes[random.below(sizeof prefixes)];
    const uint32_t form = random.below(20);
    const bool vex = form >= 12 && form != 15;
    if (!vex && mode == nmisafe::x86::width::bits_64 && random.below(4) != 0)
        bytes[at++] = static_cast<uint8_t>(0x40 | random.below(16));
    if (form < 4)
        return bytes;
    if (form < 12) {
        bytes[at++] = 0x0f;
        if (form >= 8)
            bytes[at++] = form < 10 ? 0x38 : 0x3a;
    } else if (form == 12) {
        bytes[at++] = 0xc5;
        // A register in ModRM's place makes it VEX in 32-bit mode too; often no vvvv.
        bytes[at] |= static_cast<uint8_t>(random.below(2) != 0 ? 0xf8 : 0xc0);
    } else if (form < 15) {
        bytes[at++] = 0xc4;
        bytes[at] = static_cast<uint8_t>((bytes[at] & 0x20) | 0xc0 | (1 + random.below(3)));
        ++at;
        if (random.below(2) != 0)
            bytes[at] |= 0x78;
    } else if (form == 16 || form == 17) {
        bytes[at++] = 0x62;
        // No B4, R and X as 32-bit mode needs them, and the inverted X4 mostly 1.
        bytes[at] = static_cast<uint8_t>((bytes[at] & 0x37) | 0xc0);
        ++at;
        bytes[at++] |= 4;
    } else if (form == 18) {
        bytes[at++] = 0x8f;
        bytes[at] = static_cast<uint8_t>((bytes[at] & 0xe0) | (8 + random.below(3)));
    } else if (form == 19) {
        bytes[at++] = 0xd5;
    }
    return bytes;
}

} // namespace decoder_test
