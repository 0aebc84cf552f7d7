// SPDX-License-Identifier: MIT
// Every opcode of every map with every ModRM, under many sets of prefixes, compared with Zydis and
// LLVM. It reaches what chance seldom does, and says by name what the decoder never accepts.
//
//   test_decoder_exhaustive 32|64 [whole]
//
// Unless it is to be whole, vvvv of VEX is as it is when unused beside each R, X and B, and others beside one of them:
// whether they are right is looked at one by one.
#include "tests/decoder/byte_strings.hpp"
#include "tests/decoder/oracle.hpp"

#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <set>
#include <string>

using namespace decoder_test;
using nmisafe::x86::width;

namespace {

/// `front`, an opcode and a ModRM, then whatever there is.
class sweep {
  public:
    sweep(width mode, bool whole) : mode_(mode), whole_(whole), zydis_(mode), random_(1) {}

    void all_of(const std::string& front) {
        byte_string bytes = uniform_string(random_);
        const size_t at = front.size();
        memcpy(bytes.data(), front.data(), at);
        for (unsigned opcode = 0; opcode < 256; ++opcode)
            for (unsigned modrm = 0; modrm < 256; ++modrm) {
                bytes[at] = static_cast<uint8_t>(opcode);
                bytes[at + 1] = static_cast<uint8_t>(modrm);
                // This may be a SIB; what follows it is an operand and matters little.
                bytes[at + 2] = static_cast<uint8_t>(random_.next());
                zydis_.check(bytes.data(), bytes.size());
            }
    }

    void legacy() {
        for (const char* prefixes : {"", "\x66", "\xf3", "\xf2", "\x66\xf3", "\xf2\x66", "\xf2\xf3",
                                     "\xf0", "\xf0\x66", "\xf0\xf2", "\xf3\xf0", "\x67", "\x2e"})
            for (const char* rex : {"", "\x40", "\x48", "\x44", "\x4f"}) {
                if (mode_ == width::bits_32 && *rex != '\0')
                    continue;
                for (const char* map : {"", "\x0f", "\x0f\x38", "\x0f\x3a"})
                    all_of(std::string(prefixes) + rex + map);
            }
    }

    void vex() {
        for (unsigned last = 0; last < 256; ++last) {
            // vvvv only as it is when unused, or one of its bits off.
            const unsigned vvvv = last >> 3 & 15;
            if (vvvv != 15 && vvvv != 14 && vvvv != 7)
                continue;
            if (mode_ == width::bits_64 || last >= 0xc0)
                all_of({'\xc5', static_cast<char>(last)});
            for (const unsigned map : {0u, 1u, 2u, 3u, 4u, 7u})
                for (const unsigned inverted_rxb : {0xe0u, 0xc0u, 0x00u})
                    if ((whole_ || vvvv == 15 || inverted_rxb == 0xe0) &&
                        (mode_ == width::bits_64 || inverted_rxb >= 0xc0))
                        all_of({'\xc4', static_cast<char>(inverted_rxb | map),
                                static_cast<char>(last)});
        }
    }

    void evex() {
        // W and vvvv, with APX's inverted X4; z, L'L, b, V' and the mask.
        constexpr struct {
            unsigned w_vvvv, last;
        } evex_ends[] = {{0x7c, 0x08}, {0xfc, 0x49}, {0x7c, 0x29}, {0xe4, 0x9c},
                         {0x64, 0x18}, {0x90, 0x00}, {0xfc, 0x08}};
        for (unsigned map = 0; map < 8; ++map)
            for (const unsigned inverted : {0xf0u, 0x68u}) { // none; B, R, X and APX's B4
                if (mode_ == width::bits_32 && inverted < 0xc0)
                    continue;
                for (unsigned pp = 0; pp < 4; ++pp)
                    for (const auto& [w_vvvv, last] : evex_ends)
                        all_of({'\x62', static_cast<char>(inverted | map),
                                static_cast<char>(w_vvvv | pp), static_cast<char>(last)});
            }
    }

    void xop() {
        for (unsigned map = 0; map < 13; ++map)
            for (const unsigned last : {0x78u, 0xf8u, 0x7cu, 0x50u, 0x79u, 0xd4u})
                all_of({'\x8f', static_cast<char>(0xe0 | map), static_cast<char>(last)});
    }

    void rex2() {
        for (const char* prefixes : {"", "\x66", "\xf3", "\xf2", "\xf0", "\x67", "\x48"})
            for (const unsigned payload : {0x00u, 0x08u, 0x55u, 0x80u, 0x98u, 0xd5u})
                all_of(std::string(prefixes) + '\xd5' + static_cast<char>(payload));
    }

    const oracle& zydis() const { return zydis_; }

  private:
    width mode_;
    bool whole_;
    oracle zydis_;
    random_numbers random_;
};

// Instructions of which the decoder accepts no form, on purpose: undocumented, nops on any CPU
// since the 387, or without a length that vendors agree on (ud0).
const std::set<std::string> never_accepted = {
    "fdisi8087_nop", "feni8087_nop", "ffreep", "fsetpm287_nop", "fstpnce", "ud0",
};

} // namespace

int main(int count, char** arguments) {
    const bool whole = count == 3 && strcmp(arguments[2], "whole") == 0;
    if (count != 2 && !whole) {
        fprintf(stderr, "usage: %s 32|64 [whole]\n", arguments[0]);
        return 2;
    }
    sweep all(strcmp(arguments[1], "64") == 0 ? width::bits_64 : width::bits_32, whole);
    all.legacy();
    all.vex();
    all.evex();
    all.xop();
    all.rex2();
    all.zydis().print_summary();

    bool passed = all.zydis().differences() == 0 && all.zydis().accepts_enough();
    for (const std::string& opcode : all.zydis().unknown_opcodes()) {
        printf("accepted, and neither Zydis nor LLVM knows it: %s\n", opcode.c_str());
        passed = false;
    }
    for (const auto& [name, counts] : all.zydis().mnemonics())
        if ((counts.accepted == 0) != (never_accepted.count(name) != 0)) {
            printf("%s: %s\n", name.c_str(),
                   counts.accepted == 0 ? "never accepted" : "accepted, but listed as never");
            passed = false;
        }
    return passed ? 0 : 1;
}
