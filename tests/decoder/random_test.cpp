// SPDX-License-Identifier: MIT
// Random strings of bytes, half of them uniform and half like instructions, compared with Zydis.
// The rates make sure that refusing is no way to pass.
//
//   test_decoder_random 32|64 COUNT
#include "tests/decoder/byte_strings.hpp"
#include "tests/decoder/oracle.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace decoder_test;
using nmisafe::x86::width;

int main(int count, char** arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s 32|64 COUNT\n", arguments[0]);
        return 2;
    }
    const width mode = strcmp(arguments[1], "64") == 0 ? width::bits_64 : width::bits_32;
    const uint64_t strings = strtoull(arguments[2], nullptr, 10);

    oracle zydis(mode);
    random_numbers random(mode == width::bits_64 ? 64 : 32);
    for (uint64_t i = 0; i < strings; ++i) {
        const byte_string bytes =
            i % 2 == 0 ? uniform_string(random) : instruction_like_string(random, mode);
        // Some end early, so that "truncated" is given where Zydis wants more bytes too.
        const size_t available = i % 16 < 2 ? 1 + random.below(bytes.size()) : bytes.size();
        zydis.check(bytes.data(), available);
    }
    zydis.print_summary();
    const bool passed =
        zydis.differences() == 0 && zydis.strings() >= 5'000'000 && zydis.accepts_enough();
    return passed ? 0 : 1;
}
