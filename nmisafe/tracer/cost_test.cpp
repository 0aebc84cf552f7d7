// SPDX-License-Identifier: MIT
// How many instructions an event takes, counted as they are executed: u32 and u64, dormant and on.
// On the platform whose preempt count is one word.
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/tracer/event.hpp"
#include "nmisafe/tracer/machine_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace nmisafe;
using namespace nmisafe::tracer;

// With linkage, as what an event calls: else the compiler calls it in a way of its own.
void take(uint32_t first, uint64_t second);
[[gnu::noinline]] void take(uint32_t first, uint64_t second) {
    asm volatile("" : : "m"(first), "m"(second));
}

namespace {

using two_words = event<"two_words", channel::kernel, u32<"first">, u64<"second">>;

text_patch::patch workspace[4];

[[gnu::noinline]] void traced() {
    trace<two_words>(1U, uint64_t{2});
}
[[gnu::noinline]] void only_immediate() {
    if (immediate::branch<two_words::on>()) [[unlikely]]
        take(1, 2);
}
[[gnu::noinline]] void nothing() {
    asm volatile("");
}

unsigned instructions(void (*function)()) {
    return platform::fake::step_through([&] { function(); },
                                        [](const platform::fake::boundary&) {});
}

/// From the first instruction of the function to its RET, both included.
unsigned cost(void (*function)()) {
    constexpr unsigned only_ret = 1;
    return instructions(function) - instructions(nothing) + only_ret;
}

} // namespace

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return nmisafe::tracer::test::machine::only;
}

TEST_CASE("what an event of two words costs") {
    REQUIRE(platform::hosted::set_up(text_patch::handle_breakpoint));
    immediate::use_workspace(workspace, 4);
    test::machine::begin();
    REQUIRE(set_up(*test::machine::descriptor).has_value());
    REQUIRE(add(two_words::type).has_value());
    CHECK(cost(traced) <= 4); // NOP and RET; on x86-32 clang aligns the stack for the call
    CHECK(cost(traced) == cost(only_immediate));
    CHECK(test::read_all(channel::kernel).empty());

    REQUIRE(enable("two_words").has_value());
    traced(); // opens the packet
    traced(); // and this one has the time's high bits
    unsigned recorded = ~0U;
    for (unsigned i = 0; i < 10; ++i) // but for one that happens to find new high bits
        recorded = std::min(recorded, cost(traced));
    ring_buffer::header& in = test::machine::buffer(channel::kernel);
    uint32_t before;
    do {
        before = in.offset;
        traced();
    } while (in.offset != before);
    const unsigned lost = cost(traced);
    MESSAGE("recorded: ", recorded, " instructions, lost: ", lost);
#ifdef __clang__
    constexpr unsigned more = 25;
#else
    constexpr unsigned more = 0;
#endif
    constexpr bool is_64 = sizeof(void*) == 8;
    CHECK(recorded > 40);
    CHECK(recorded <= (is_64 ? 104 : 130) + more);
    CHECK(lost <= (is_64 ? 134 : 166) + more);
    CHECK(test::read_all(channel::kernel).size() > 12);
}
