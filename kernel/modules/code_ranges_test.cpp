// SPDX-License-Identifier: MIT
// Readers and the one who changes the table, each stepped by TF with the other at work between any
// two of its instructions.
#include "kernel/modules/code_ranges.hpp"
#include "nmisafe/platform/fake/single_step.hpp"

#include <doctest/doctest.h>
#include <tuple>

using nmisafe::platform::fake::boundary;
using nmisafe::platform::fake::step_through;

namespace {

// `low` is below `high`: the begin of one with the end of the other would hold what is between
// them.
constexpr kernel::code_range low{{0x1000, 0x2000}, {0x1100, 0x1200}};
constexpr kernel::code_range high{{0x8000, 0x9000}, {0x8100, 0x8200}};
constexpr kernel::code_range stays{{0x20000, 0x21000}, {0x20000, 0x20010}};
constexpr uintptr_t between = 0x5000;

using table = kernel::code_ranges<2>;

bool holds(const table& all, uintptr_t address) {
    return all.holds(address, address + 1);
}
bool is_no_probe(const table& all, uintptr_t address) {
    return all.is_no_probe(address, address + 1);
}

/// What a reader is told of an address, at once or after any change at any of its instructions.
struct answers {
    unsigned yes;
    unsigned no;
};

template <typename Ask>
answers ask_while_changing(const kernel::code_range& from, const kernel::code_range& to, Ask ask) {
    answers seen{};
    unsigned count = ~0U;
    for (unsigned at = 0; at < count; ++at) {
        table all;
        REQUIRE(all.add(from));
        REQUIRE(all.add(stays));
        bool answer = false;
        const auto stepped = [&] {
            asm volatile("nop" : : : "memory"); // one boundary before all that is read
            answer = ask(all);
        };
        count = step_through(stepped, [&](const boundary& now) {
            if (now.number != at)
                return;
            all.remove(from.code.begin);
            all.add(to);
        });
        ++(answer ? seen.yes : seen.no);
    }
    return seen;
}

void check_never(const kernel::code_range& from, const kernel::code_range& to) {
    for (const uintptr_t address : {uintptr_t{0}, uintptr_t{0xfff}, uintptr_t{0x2000}, between,
                                    uintptr_t{0x7fff}, uintptr_t{0x9000}, ~uintptr_t{0} - 1}) {
        CHECK(ask_while_changing(from, to, [=](table& all) { return holds(all, address); }).yes ==
              0);
        CHECK(ask_while_changing(from, to, [=](table& all) {
                  return is_no_probe(all, address);
              }).yes == 0);
    }
    // What is not touched is always there.
    CHECK(ask_while_changing(from, to, [](table& all) { return holds(all, 0x20fff); }).no == 0);
    CHECK(ask_while_changing(from, to, [](table& all) { return is_no_probe(all, 0x2000f); }).no ==
          0);
}

} // namespace

TEST_CASE("a reader takes no begin of one module with the end of the next") {
    check_never(high, low);
    check_never(low, high);
    // Told of both, at one time or another; so the change did come in the middle.
    const auto of_first =
        ask_while_changing(high, low, [](table& all) { return holds(all, 0x8000); });
    CHECK(of_first.yes != 0);
    CHECK(of_first.no != 0);
    const auto of_next =
        ask_while_changing(high, low, [](table& all) { return holds(all, 0x1fff); });
    CHECK(of_next.yes != 0);
    CHECK(of_next.no != 0);
}

// As an NMI handler does, which cannot wait for what it has interrupted.
TEST_CASE("a reader in the middle of a change sees what was there, nothing, or what comes") {
    table all;
    REQUIRE(all.add(high));
    REQUIRE(all.add(stays));
    unsigned phase = 0; // 0: high is there; 1: nothing; 2: low
    unsigned seen[3] = {};
    unsigned wrong = 0;
    const auto look = [&](const boundary&) {
        const bool first = holds(all, 0x8800);
        const bool next = holds(all, 0x1800);
        const unsigned now = first ? 0 : next ? 2 : 1;
        wrong += first && next;
        wrong += now < phase;
        wrong += is_no_probe(all, 0x8150) != first || is_no_probe(all, 0x1150) != next;
        wrong += holds(all, between) || is_no_probe(all, between);
        wrong += !holds(all, 0x20fff) || !is_no_probe(all, 0x20000);
        phase = now;
        ++seen[now];
    };
    step_through(
        [&] {
            all.remove(high.code.begin);
            all.add(low);
        },
        look);
    CHECK(wrong == 0);
    for (const unsigned times : seen)
        CHECK(times != 0);
}

TEST_CASE("as many as there is room for, and what they hold") {
    table all;
    CHECK_FALSE(holds(all, 0));
    CHECK_FALSE(is_no_probe(all, 0));
    REQUIRE(all.add(low));
    REQUIRE(all.add(high));
    CHECK_FALSE(all.add(stays));
    for (const auto& [begin, end, expected] : {std::tuple{0x1000U, 0x2000U, true},
                                               {0x0fffU, 0x2000U, false},
                                               {0x1000U, 0x2001U, false},
                                               {0x1fffU, 0x2000U, true},
                                               {0x8000U, 0x8001U, true},
                                               {0x2000U, 0x1000U, false}})
        CHECK(all.holds(begin, end) == expected);
    for (const auto& [begin, end, expected] : {std::tuple{0x10ffU, 0x1100U, false},
                                               {0x10ffU, 0x1101U, true},
                                               {0x11ffU, 0x1200U, true},
                                               {0x1200U, 0x1201U, false},
                                               {0U, ~0U, true}})
        CHECK(all.is_no_probe(begin, end) == expected);
    all.remove(low.code.begin);
    REQUIRE(all.add(stays));
    CHECK_FALSE(holds(all, 0x1000));
    CHECK(holds(all, 0x20000));
    // Without no-probe code there is none.
    all.remove(high.code.begin);
    REQUIRE(all.add({{0x8000, 0x9000}, {}}));
    CHECK_FALSE(all.is_no_probe(0x8000, 0x9000));
}
