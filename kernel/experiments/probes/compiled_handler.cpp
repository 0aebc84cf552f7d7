// SPDX-License-Identifier: MIT
// What compilers make of ordinary code: calls, direct and through pointers, branches and loops,
// arithmetic in all sizes, memory on the stack and elsewhere. All of it changes the result.
#include "kernel/experiments/probes/compiled_handler.hpp"

namespace kernel {

constinit shared_word<uint32_t> compiled_input = {};
constinit volatile uint64_t compiled_result = 0;

namespace {

#define PROBED [[gnu::section("kernel_probed_text"), gnu::noinline]]

struct packet {
    uint8_t kind;
    int16_t change;
    uint32_t words[6];
    uint64_t sum;
};

constinit const volatile uint8_t kinds[] = {3, 0, 2, 1, 4, 2, 0, 3, 1, 4};

PROBED uint32_t rotate(uint32_t value, unsigned by) {
    return value << by | value >> (32 - by);
}

PROBED uint32_t sum_words(const packet& what) {
    uint32_t sum = 0;
    for (const uint32_t word : what.words)
        sum = sum * 31 + word;
    return sum;
}

PROBED uint32_t sign(const packet& what) {
    const int32_t change = what.change;
    return static_cast<uint32_t>(change < 0 ? -change * 5 : change / 3);
}

PROBED uint32_t by_kind(const packet& what, uint32_t value) {
    switch (what.kind) {
    case 0:
        return value + 17;
    case 1:
        return value ^ 0x5a5a5a5a;
    case 2:
        return rotate(value, 7);
    case 3:
        return value % 2 == 0 ? value / 2 : 3 * value + 1;
    default:
        return ~value;
    }
}

using step = uint32_t (*)(const packet&);
constinit const volatile step steps[] = {sum_words, sign};

PROBED void fill(packet& what, uint32_t seed, unsigned number) {
    what.kind = kinds[number];
    what.change = static_cast<int16_t>(seed >> 5);
    for (unsigned i = 0; i < 6; ++i)
        what.words[i] = seed = rotate(seed ^ i, i + 3) + 0x9e3779b9;
    what.sum = uint64_t{seed} * what.words[number % 6] + number;
}

/// Recursion, and a frame that is left in the middle.
PROBED uint32_t depth(uint32_t value) {
    if (value < 2)
        return 1;
    const uint32_t half = depth(value / 2);
    return (value & 1) != 0 ? half * 3 + value : half + 5;
}

} // namespace

PROBED void compiled_handler(nmisafe::x86::trap_frame& frame) {
    entered_compiled_handler();
    uint64_t result = frame.cs & 0; // of the frame, but the same in each
    for (unsigned number = 0; number < sizeof(kinds); ++number) {
        packet one;
        fill(one, compiled_input + number, number);
        const uint32_t next = by_kind(one, steps[number % 2](one));
        result = (result << 9 | result >> 55) + one.sum + next;
        if ((next & 0x10) != 0)
            result ^= depth(next & 0xff);
    }
    compiled_result = result;
}

} // namespace kernel
