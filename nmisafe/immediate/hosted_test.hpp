// SPDX-License-Identifier: MIT
// The keys and sites of the hosted test, which two source files share.
#pragma once

#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/platform/hosted/checks.hpp"

namespace nmisafe::immediate::test {

enum class colour : uint8_t { red = 1, green = 200, blue = 255 };

extern immediate<bool> flag;
extern immediate<bool, true> flag_on;
extern immediate<uint8_t, 0x12> byte;
extern immediate<int16_t, -2> half;
extern immediate<colour, colour::green> paint;
extern immediate<uint32_t, 0xdeadbeef> word;
extern immediate<int32_t> signed_word;
extern immediate<const char*> pointer;
#ifdef __x86_64__
extern immediate<uint64_t, 0x0123456789abcdef> wide;
extern immediate<int64_t, -1> signed_wide;
#endif

/// An inline function: in both files, one copy is linked.
inline uint32_t inline_word() {
    return read<word>();
}

/// A template with one instance in both files and one in each.
template <typename T>
T template_word(T add) {
    return static_cast<T>(read<word>()) + add;
}

inline unsigned inline_branch() {
    if (branch<flag>()) [[unlikely]]
        return 1;
    return 0;
}

// hosted_other_test.cpp
uint32_t other_word();
uint32_t other_template_word();
unsigned other_branch();
unsigned other_branch_on();
unsigned waits_until(const bool& stop);

// hosted_joined_test.cpp
void test_joined_table();

} // namespace nmisafe::immediate::test
