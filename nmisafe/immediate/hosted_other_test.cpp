// SPDX-License-Identifier: MIT
// The hosted test's second source file: the same inline sites again, and some of its own.
#include "nmisafe/immediate/hosted_test.hpp"

namespace nmisafe::immediate::test {

uint32_t other_word() {
    return read<word>() ^ (inline_word() - inline_word());
}

uint32_t other_template_word() {
    return static_cast<uint32_t>(template_word(uint64_t{1})) + template_word(uint32_t{1});
}

unsigned other_branch() {
    return inline_branch() + (branch<flag>() ? 2U : 0U);
}

unsigned other_branch_on() {
    if (branch<flag_on>())
        return 1;
    return 0;
}

/// Reads in a loop: the site may not be hoisted out of it.
unsigned waits_until(const bool& stop) {
    unsigned rounds = 0;
    while (read<flag>() == stop && rounds < 1000)
        ++rounds;
    return rounds;
}

/// Nobody calls it: its sites must go with it, or stay with it.
uint32_t dead_function() {
    return read<word>() + inline_word();
}

} // namespace nmisafe::immediate::test
