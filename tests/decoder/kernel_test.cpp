// SPDX-License-Identifier: MIT
// Every instruction of a kernel's .text, walked with Zydis from symbol to symbol: the decoder must
// accept all of them, and the last one must end where the next symbol is.
//
//   test_decoder_kernel ELF-FILE
#include "tests/decoder/kernel_text.hpp"
#include "tests/decoder/oracle.hpp"

#include <cstdio>
#include <set>

using namespace decoder_test;
using nmisafe::x86::instruction_class;
using nmisafe::x86::width;

namespace {

/// Routines of the 64-bit kernel that begin before long mode. The 32-bit code of each ends with its
/// first return or far jump; what follows, up to the next symbol, is 64-bit code.
const std::set<std::string> begin_in_32_bits = {"kernel_entry", "enter_long_mode",
                                                "trampoline_protected_mode"};
/// Those that are 32-bit code to their end.
const std::set<std::string> are_in_32_bits = {"require_cpu", "features", "say"};

struct walk {
    const kernel_text& text;
    oracle zydis_32{width::bits_32};
    oracle zydis_64{width::bits_64};
    uint64_t instructions = 0;
    uint64_t refused = 0;

    bool routine_is_code(const routine& part) {
        const width in_the_end = are_in_32_bits.count(part.name) != 0 ? width::bits_32 : text.mode;
        width mode = begin_in_32_bits.count(part.name) != 0 ? width::bits_32 : in_the_end;
        size_t at = part.begin;
        while (at < part.end) {
            oracle& zydis = mode == width::bits_64 ? zydis_64 : zydis_32;
            const uint8_t* bytes = text.bytes.data() + at;
            const size_t available = text.bytes.size() - at;
            const unsigned length = zydis.check(bytes, available);
            if (length == 0) {
                printf("%s+0x%zx: not code to Zydis\n", part.name.c_str(), at - part.begin);
                return false;
            }
            ++instructions;
            const auto ours = nmisafe::x86::decode(bytes, available, mode);
            if (!ours.has_value()) {
                printf("%s+0x%zx: refused\n", part.name.c_str(), at - part.begin);
                ++refused;
            } else if (ours->kind == instruction_class::far_branch ||
                       ours->kind == instruction_class::return_near) {
                mode = in_the_end;
            }
            at += length;
        }
        if (at != part.end)
            printf("%s: its last instruction goes beyond its end\n", part.name.c_str());
        return at == part.end;
    }
};

} // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: %s ELF-FILE\n", arguments[0]);
        return 2;
    }
    const auto text = read_kernel_text(arguments[1]);
    if (!text.has_value())
        return 1;
    walk all{*text};
    bool passed = true;
    for (const routine& part : text->routines)
        passed = all.routine_is_code(part) && passed;
    printf("%zu routines, %llu instructions, %llu refused\n", text->routines.size(),
           static_cast<unsigned long long>(all.instructions),
           static_cast<unsigned long long>(all.refused));
    const uint64_t differences = all.zydis_32.differences() + all.zydis_64.differences();
    // Half of a kernel would be a mistake of this program.
    return passed && differences == 0 && all.refused == 0 && all.instructions > 5000 ? 0 : 1;
}
