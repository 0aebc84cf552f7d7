// SPDX-License-Identifier: MIT
// Both sides of each protocol between apply() and who looks at text meanwhile: one side is run
// instruction by instruction, the other acts between any two of them, and may hold a store back
// until the next barrier, as a CPU does.
#include "nmisafe/text_patch/one_site_test.hpp"
#include "nmisafe/text_patch/text.hpp"

#include <algorithm>
#include <array>
#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe::text_patch;
using namespace nmisafe::text_patch::test;
using internal::active;
using nmisafe::platform::fake::boundary;
using nmisafe::platform::fake::step_through;
using nmisafe::x86::trap_frame;

namespace {

using fake = nmisafe_platform;

constexpr uint8_t before[5] = {0xb8, 1, 0, 0, 0};
constexpr uint8_t after[5] = {0xb8, 2, 0, 0, 0};

patch change() {
    return load(before[1], after[1]);
}

/// One that apply() has checked once, as a batch that is published is.
patch checked_change() {
    place();
    patch made = change();
    REQUIRE(apply(&made, 1).has_value());
    place();
    return made;
}

/// As apply() does it, up to its first INT3.
void begin_batch(const patch& one) {
    active.count = 1;
    active.switched = 0;
    active.patches = &one;
    active.batches += 1;
    fake::text.bytes[0] = breakpoint;
}

/// The end of apply(), if no handler keeps it from it.
bool end_batch() {
    if (active.readers != 0)
        return false;
    fake::text.bytes.assign(std::begin(after), std::end(after));
    active.patches = nullptr;
    return true;
}

} // namespace

// unpublish() must not count the readers while its store is held back: a handler that is counted
// only then still finds the batch, and reads it when its owner has it again.
TEST_CASE("apply() counts the readers when all CPUs see that there is no batch") {
    place();
    patch one = change();
    bool published = false;
    bool has_begun = false;
    unsigned waited = 0;
    const auto begin_handler = [&](const boundary& at) {
        if (active.patches != nullptr) {
            published = true;
        } else if (published && at.behind_barrier && !has_begun) {
            has_begun = true;
            active.readers += 1; // it has found the batch before the barrier
        }
        waited += has_begun;
        if (waited == long_enough)
            active.readers -= 1;
    };
    bool applied = false;
    step_through([&] { applied = apply(&one, 1).has_value(); }, begin_handler);
    CHECK(applied);
    CHECK(has_begun);
    CHECK(waited >= long_enough); // less: it was not waited for
    active.readers = 0;
}

TEST_CASE(
    "a late handler meets a batch that begins, and perhaps ends, at any of its instructions") {
    const patch one = checked_change();
    unsigned runs = 0;
    unsigned emulated = 0;
    unsigned wrong = 0;
    bool is_reached = true;
    // The INT3 that it was hit by has gone with the batch before.
    const auto handle = [&](unsigned begin, unsigned end) {
        bool has_begun = false;
        bool has_ended = false;
        const auto others = [&](const boundary& at) {
            if (at.number == begin) {
                has_begun = true;
                begin_batch(one);
            }
            if (has_begun && at.number >= end && !has_ended)
                has_ended = end_batch();
        };
        trap_frame frame = hit();
        bool handled = false;
        step_through([&] { handled = handle_breakpoint(frame); }, others);
        const bool was_emulated = frame.ip == text_begin + sizeof before && frame.ax == 1;
        emulated += was_emulated;
        wrong += !handled || (!was_emulated && frame.ip != text_begin);
        CHECK(active.readers == 0);
        active.patches = nullptr;
        fake::text.bytes.assign(std::begin(before), std::end(before));
        ++runs;
        is_reached = has_begun;
    };
    unsigned begin = 0;
    do {
        for (const unsigned instructions : {0U, 1U, 4U, long_enough})
            handle(begin, begin + instructions);
    } while (is_reached && ++begin != 0);
    CHECK(runs > 80);
    CHECK(emulated > 10);
    CHECK(wrong == 0);
}

// apply() has taken some steps before the reader begins, and takes the others while it reads: all
// at once, or one with so many of its instructions.
TEST_CASE("what is read while the text is quiet is of one age") {
    const patch one = checked_change();
    const auto steps = std::to_array<void (*)(const patch&)>({
        [](const patch& batch) { active.patches = &batch; },
        [](const patch&) { active.batches += 1; },
        [](const patch&) { fake::text.bytes[0] = breakpoint; },
        [](const patch&) { fake::text.bytes[1] = after[1]; },
        [](const patch&) { fake::text.bytes[0] = after[0]; },
        [](const patch&) { active.patches = nullptr; },
    });
    unsigned quiet = 0;
    unsigned disturbed = 0;
    unsigned mixed = 0;
    const auto read_while_patched = [&](size_t ahead, unsigned pace, unsigned begin) {
        bool is_reached = false;
        size_t taken = 0;
        while (taken < ahead)
            steps[taken++](one);
        const auto patch_on = [&](const boundary& at) {
            is_reached = is_reached || at.number == begin;
            while (taken < steps.size() && at.number >= begin + (taken - ahead) * pace)
                steps[taken++](one);
        };
        uint8_t seen[sizeof before] = {};
        bool holds = false;
        const volatile uint8_t* const code = fake::text.bytes.data();
        const auto read = [&] {
            const quiet_text text;
            for (size_t i = 0; i < sizeof seen; ++i)
                seen[i] = code[i];
            holds = text.holds();
        };
        step_through(read, patch_on);
        const bool one_age = std::equal(std::begin(seen), std::end(seen), before) ||
                             std::equal(std::begin(seen), std::end(seen), after);
        ++(holds ? quiet : disturbed);
        mixed += holds && !one_age;
        active.patches = nullptr;
        fake::text.bytes.assign(std::begin(before), std::end(before));
        return is_reached;
    };
    for (const size_t ahead : {0U, 2U})
        for (const unsigned pace : {0U, 1U, 8U})
            for (unsigned begin = 0; read_while_patched(ahead, pace, begin); ++begin) {
            }
    CHECK(quiet > 5);
    CHECK(disturbed > 20);
    CHECK(mixed == 0);
}
