// SPDX-License-Identifier: MIT
// A site is executed at every step of its patching, by CPUs that may fetch each byte as old as
// their last serializing instruction: they see the instruction before or after, never a mixture.
// Each synchronisation is taken out in turn, as the control.
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/flags.h"

#include <algorithm>
#include <cstring>
#include <doctest/doctest.h>
#include <random>
#include <vector>

using namespace nmisafe::text_patch;
using nmisafe::x86::trap_frame;

namespace {

using fake = nmisafe_platform;
using bytes = std::vector<uint8_t>;

constexpr uintptr_t text_begin = 0x40000000;
constexpr uintptr_t stub_1 = text_begin + 0x100;
constexpr uintptr_t stub_2 = text_begin + 0x110;
constexpr uintptr_t stub_3 = text_begin + 0x120;
constexpr uintptr_t callee_1 = text_begin + 0x200;
constexpr uintptr_t callee_2 = text_begin + 0x300;
constexpr uintptr_t untouched = 0x5a5a5a5a;

/// What executing an instruction comes to, in the words of this test.
struct effect {
    uintptr_t ip;             // relative to the site
    uintptr_t ax = untouched; // afterwards
    bool operator==(const effect&) const = default;
};

struct site {
    bytes before;
    bytes after;
    effect effect_before;
    effect effect_after;
    uintptr_t stub_before = 0;
    uintptr_t stub_after = 0;
    uintptr_t address = 0;
};

void put_value(bytes& code, size_t at, uintptr_t value) {
    for (size_t i = 0; i < 4; ++i)
        code[at + i] = static_cast<uint8_t>(value >> 8 * i);
}

bytes branch(uint8_t opcode, uintptr_t from, uintptr_t to) {
    bytes code = {opcode, 0, 0, 0, 0};
    put_value(code, 1, to - from - 5);
    return code;
}

const bytes nop_5 = {0x0f, 0x1f, 0x44, 0, 0};

/// Sites side by side, without a byte between them; stubs behind.
std::vector<site> place_sites() {
    std::vector<site> sites = {
        {{0xb8, 1, 1, 1, 1}, {0xb8, 2, 2, 2, 2}, {5, 0x01010101}, {5, 0x02020202}},
        {nop_5, {0xe9, 0x20, 0, 0, 0}, {5}, {0x25}},
        {{0xe9, 0xdf, 0xff, 0xff, 0xff}, nop_5, {uintptr_t{5} - 0x21}, {5}},
        {{0x0f, 0x84, 0x40, 0, 0, 0}, {0x66, 0x0f, 0x1f, 0x44, 0, 0}, {0x46}, {6}}, // ZF is 1
        {{0x66, 0x90}, {0x75, 0x10}, {2}, {2}},
        {{0xb0, 7}, {0xb0, 9}, {2, 0x5a5a5a07}, {2, 0x5a5a5a09}},
        {nop_5, {}, {5}, {}},       // to a call
        {{}, {}, {}, {}},           // from one call to another
        {{0x90}, {0x90}, {1}, {1}}, // one byte, and nothing changes
    };
    if constexpr (sizeof(uintptr_t) == 8)
        sites.push_back({{0x48, 0xb8, 1, 1, 1, 1, 1, 1, 1, 1},
                         {0x48, 0xb8, 2, 2, 2, 2, 2, 2, 2, 2},
                         {10, uintptr_t(0x0101010101010101)},
                         {10, uintptr_t(0x0202020202020202)}});
    uintptr_t next = text_begin;
    bytes text(0x400, 0xf4);
    for (site& one : sites) {
        one.address = next;
        if (one.after.empty()) {
            one.after = branch(0xe8, next, callee_2);
            one.effect_after = {stub_2 - next};
            one.stub_after = stub_2;
        }
        if (one.before.empty()) {
            one.before = branch(0xe8, next, callee_1);
            one.effect_before = {stub_1 - next};
            one.stub_before = stub_1;
        }
        std::copy(one.before.begin(), one.before.end(),
                  text.begin() + static_cast<long>(next - text_begin));
        next += one.before.size();
    }
    const auto put = [&text](uintptr_t address, const bytes& code) {
        std::copy(code.begin(), code.end(), text.begin() + static_cast<long>(address - text_begin));
    };
    // A stub belongs to one site: it comes back behind that one.
    const auto put_stub = [&put](uintptr_t address, uintptr_t callee, uintptr_t back) {
        put(address, branch(0xe8, address, callee));
        put(address + 5, branch(0xe9, address + 5, back));
    };
    site& other_call = sites[7];
    other_call.stub_after = stub_3;
    other_call.effect_after = {stub_3 - other_call.address};
    put_stub(stub_1, callee_1, other_call.address + 5);
    put_stub(stub_2, callee_2, sites[6].address + 5);
    put_stub(stub_3, callee_2, other_call.address + 5);
    fake::reset();
    fake::text.place(text_begin, text);
    return sites;
}

patch patch_of(const site& one) {
    patch made{};
    made.address = one.address;
    made.stub_before = one.stub_before;
    made.stub_after = one.stub_after;
    made.size = static_cast<uint8_t>(one.before.size());
    std::copy(one.before.begin(), one.before.end(), made.before);
    std::copy(one.after.begin(), one.after.end(), made.after);
    return made;
}

std::vector<patch> patches_of(const std::vector<site>& sites) {
    std::vector<patch> patches;
    for (const site& one : sites)
        patches.push_back(patch_of(one));
    return patches;
}

/// What was seen of all sites since the last look.
struct seen {
    unsigned executions = 0;
    unsigned before = 0;
    unsigned after = 0;
    unsigned again = 0;   // an INT3 that has gone: the CPU is to look once more
    unsigned broken = 0;  // anything else
    unsigned too_old = 0; // an instruction before although one after had been seen
};

void note(seen& all, bool is_before, bool is_after) {
    ++all.executions;
    if (is_before && is_after)
        return; // says nothing
    all.before += is_before;
    all.after += is_after;
    all.broken += !is_before && !is_after;
    all.too_old += is_before && all.after != 0;
}

void execute_breakpoint(seen& all, const site& one) {
    trap_frame frame{};
    frame.ip = one.address + 1;
    frame.ax = untouched;
    frame.flags = X86_FLAGS_FIXED | X86_FLAGS_ZF;
    const bool handled = handle_breakpoint(frame);
    const effect found = {frame.ip - one.address, frame.ax};
    if (handled && frame.ip == one.address &&
        fake::text.bytes[one.address - text_begin] != breakpoint) {
        ++all.executions;
        ++all.again;
        return;
    }
    note(all, handled && found == one.effect_before, handled && found == one.effect_after);
}

/// Executes every combination of bytes that a CPU may fetch at a site now.
void execute(seen& all, const site& one, bytes fetched = {}) {
    if (!fetched.empty() && fetched[0] == breakpoint) {
        execute_breakpoint(all, one);
        return;
    }
    if (fetched.size() == one.before.size()) {
        note(all, fetched == one.before, fetched == one.after);
        return;
    }
    for (const uint8_t value : fake::text.fetchable[one.address - text_begin + fetched.size()]) {
        fetched.push_back(value);
        execute(all, one, fetched);
        fetched.pop_back();
    }
}

seen patch_under_observation(unsigned without_synchronisation) {
    const std::vector<site> sites = place_sites();
    std::vector<patch> patches = patches_of(sites);
    seen all;
    const auto execute_all = [&] {
        for (const site& one : sites)
            execute(all, one);
    };
    fake::without_synchronisation = without_synchronisation;
    fake::observer = execute_all;
    execute_all();
    const unsigned at_first = all.after;
    const auto result = apply(patches.data(), patches.size());
    REQUIRE(result.has_value());
    CHECK(*result == sites.size());
    CHECK(at_first == 0);
    CHECK(fake::synchronisations == 3);
    for (const site& one : sites)
        for (size_t i = 0; i < one.after.size(); ++i)
            CHECK(fake::text.bytes[one.address - text_begin + i] == one.after[i]);
    all.again = 0; // from here on none is right
    const unsigned before = all.before;
    execute_all();
    if (without_synchronisation == 0)
        CHECK(all.before == before);
    return all;
}

} // namespace

TEST_CASE("at every step every site is the instruction before or after, never a mixture") {
    const seen all = patch_under_observation(0);
    CHECK(all.broken == 0);
    CHECK(all.too_old == 0);
    CHECK(all.again == 0);
    CHECK(all.before > 100);
    CHECK(all.after > 100);
    MESSAGE("executions: " << all.executions << ", before: " << all.before
                           << ", after: " << all.after);
}

TEST_CASE("control: each of the three synchronisations is needed") {
    CHECK(patch_under_observation(1).broken != 0);
    CHECK(patch_under_observation(2).broken != 0);
    CHECK(patch_under_observation(3).again != 0);
}

TEST_CASE("back and forth: a patch and its reverse leave the text as it was") {
    const std::vector<site> sites = place_sites();
    const bytes text = fake::text.bytes;
    std::vector<patch> patches = patches_of(sites);
    REQUIRE(apply(patches.data(), patches.size()).has_value());
    CHECK(fake::text.bytes != text);
    for (patch& one : patches) {
        std::swap(one.before, one.after);
        std::swap(one.stub_before, one.stub_after);
    }
    REQUIRE(apply(patches.data(), patches.size()).has_value());
    CHECK(fake::text.bytes == text);
}

TEST_CASE("10,000 sites in one call: three synchronisations, sorted in place") {
    constexpr size_t count = 10000;
    bytes text;
    std::vector<patch> patches;
    for (size_t i = 0; i < count; ++i) {
        patch one{};
        one.address = text_begin + text.size();
        one.size = 5;
        one.before[0] = one.after[0] = 0xb8;
        for (size_t byte = 1; byte < 5; ++byte)
            one.after[byte] = static_cast<uint8_t>(i >> (byte % 2 == 0 ? 8 : 0));
        text.insert(text.end(), one.before, one.before + 5);
        patches.push_back(one);
    }
    std::shuffle(patches.begin(), patches.end(), std::mt19937{1});
    fake::reset();
    fake::text.place(text_begin, text);
    // While all sites hold INT3 each of them is hit once, old or new by the step.
    unsigned hits_before = 0;
    unsigned hits_after = 0;
    fake::observer = [&] {
        if (fake::text_writes != count && fake::text_writes != 3 * count - 1)
            return;
        for (size_t i = 0; i < count; ++i) {
            if (fake::text.bytes[5 * i] != breakpoint)
                continue;
            trap_frame frame{};
            frame.ip = text_begin + 5 * i + 1;
            REQUIRE(handle_breakpoint(frame));
            REQUIRE(frame.ip == text_begin + 5 * i + 5);
            const auto low = static_cast<uint8_t>(i);
            const auto high = static_cast<uint8_t>(i >> 8);
            hits_before += frame.ax == 0 && i != 0;
            hits_after += frame.ax == uint32_t(low | high << 8 | low << 16 | high << 24) && i != 0;
        }
    };
    const auto result = apply(patches.data(), patches.size());
    REQUIRE(result.has_value());
    CHECK(*result == count);
    CHECK(fake::synchronisations == 3);
    CHECK(fake::text_writes == 3 * count);
    CHECK(hits_before == 2 * (count - 1)); // after the last INT3, and when all CPUs see them
    CHECK(hits_after == 1);                // the last site, while its INT3 is the only one left
    for (size_t i = 1; i < count; ++i)
        REQUIRE(patches[i - 1].address < patches[i].address);
    for (const patch& one : patches)
        REQUIRE(std::memcmp(&fake::text.bytes[one.address - text_begin], one.after, 5) == 0);
    fake::reset();
}
