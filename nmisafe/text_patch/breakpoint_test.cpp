// SPDX-License-Identifier: MIT
// The batch as the breakpoint handler looks into it: each site is found, in batches of any size,
// and nothing beside them.
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/text_patch/breakpoint.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <random>
#include <vector>

using namespace nmisafe::text_patch;
using nmisafe::platform::fake::boundary;
using nmisafe::platform::fake::step_through;
using nmisafe::x86::trap_frame;

namespace {

using fake = nmisafe_platform;

constexpr uintptr_t text_begin = 0x40000000;
constexpr size_t load_size = 5;

/// Loads of the number of each, with as many bytes between them as the generator says.
std::vector<patch> place_loads(size_t count, unsigned most_between, std::mt19937& random) {
    std::vector<uint8_t> text;
    std::vector<patch> patches;
    for (size_t i = 0; i < count; ++i) {
        text.resize(text.size() + random() % (most_between + 1), 0x90);
        patch one{};
        one.address = text_begin + text.size();
        one.size = load_size;
        one.before[0] = one.after[0] = 0xb8;
        one.before[1] = static_cast<uint8_t>(i);
        one.before[2] = static_cast<uint8_t>(i >> 8);
        one.after[4] = 1;
        text.insert(text.end(), one.before, one.before + load_size);
        patches.push_back(one);
    }
    fake::reset();
    fake::text.place(text_begin, text);
    return patches;
}

bool hit(uintptr_t address, trap_frame& frame) {
    frame = {};
    frame.ip = address + 1;
    return handle_in_batch(frame);
}

size_t longest_chain(const std::vector<patch>& patches) {
    size_t longest = 0;
    for (const patch& one : patches) {
        size_t length = 0;
        for (const patch* at = one.internal.first; at != nullptr; at = at->internal.next)
            ++length;
        longest = std::max(longest, length);
    }
    return longest;
}

} // namespace

TEST_CASE("each site of a batch is found, and nothing but the sites") {
    std::mt19937 random(1);
    size_t longest = 0;
    for (size_t count = 1; count < 600; count = count < 40 ? count + 1 : count * 2 - 1) {
        std::vector<patch> patches = place_loads(count, count % 2 == 0 ? 0 : 3000, random);
        unsigned found = 0;
        unsigned wrong = 0;
        fake::observer = [&] {
            if (fake::synchronisations != 1 || found != 0)
                return;
            longest = std::max(longest, longest_chain(patches));
            for (size_t i = 0; i < count; ++i) {
                trap_frame frame;
                found += hit(patches[i].address, frame);
                wrong += frame.ip != patches[i].address + load_size || frame.ax != i;
                for (const uintptr_t beside : {patches[i].address - 1, patches[i].address + 1})
                    wrong += hit(beside, frame) || frame.ip != beside + 1;
            }
        };
        REQUIRE(apply(patches.data(), count).has_value());
        CHECK(found == count);
        CHECK(wrong == 0);
    }
    CHECK(longest > 2); // chains of more than one have been there
    CHECK(longest < 12);
}

TEST_CASE("neighbours, and sites at any usual distance, are spread over the chains") {
    for (const size_t distance : {5U, 16U, 64U, 4096U, 65536U, 1U << 20}) {
        constexpr size_t count = 1000;
        std::vector<unsigned> lengths(count);
        for (size_t i = 0; i < count; ++i)
            ++lengths.at(internal::chain_of(text_begin + i * distance, count));
        unsigned steps = 0; // to find each once
        for (const unsigned length : lengths)
            steps += length * (length + 1) / 2;
        CAPTURE(distance);
        CHECK(steps < 3 * count);
    }
}

TEST_CASE("an empty batch is never there to be looked at") {
    std::mt19937 random(1);
    std::vector<patch> patches = place_loads(1, 0, random);
    unsigned looked = 0;
    bool published = false;
    const auto look = [&](const boundary&) {
        ++looked;
        published |= internal::active.patches != nullptr;
    };
    bool applied = false;
    step_through([&] { applied = apply(patches.data(), 0).has_value(); }, look);
    CHECK(applied);
    CHECK(looked > 10);
    CHECK_FALSE(published);
}
