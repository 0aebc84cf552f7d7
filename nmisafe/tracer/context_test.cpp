// SPDX-License-Identifier: MIT
// The word that says what a CPU is doing, interrupted at each instruction.
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/tracer/machine_test.hpp"

#include <doctest/doctest.h>

using namespace nmisafe;
using namespace nmisafe::tracer;

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return nmisafe::tracer::test::machine::only;
}

TEST_CASE(
    "a handler that comes at any instruction finds the word before or after, and puts it back") {
    cpu& mine = test::machine::only;
    unsigned steps = 0;
    unsigned before = 0;
    unsigned after = 0;
    unsigned wrong = 0;
    const context_word inside = make_context_word(ctf::context::interrupt, 1);
    platform::fake::step_through(
        [] {
            const context_word old = enter(ctf::context::interrupt);
            leave(old);
        },
        [&](const platform::fake::boundary&) {
            ++steps;
            const context_word found = current_context();
            const inside_context nmi(ctf::context::nmi);
            before += found == 0;
            after += found == inside;
            wrong += found != 0 && found != inside;
            wrong += current_context() !=
                     make_context_word(ctf::context::nmi, static_cast<uint8_t>((found >> 8) + 1));
        });
    CHECK(mine.context == 0);
    CHECK(wrong == 0);
    CHECK(before > 1);
    CHECK(after > 0);
    CHECK(before + after == steps);
}
