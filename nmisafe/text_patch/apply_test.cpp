// SPDX-License-Identifier: MIT
// What apply() refuses, all of a batch and before it writes a byte; probes; late breakpoints.
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe::text_patch;
using nmisafe::x86::trap_frame;

namespace {

using fake = nmisafe_platform;

constexpr uintptr_t text_begin = 0x40000000;
constexpr uintptr_t stub = text_begin + 0x40;

patch load(uintptr_t address, uint8_t before, uint8_t after) {
    return {address, 0, 0, 0, 5, 0, {0xb8, before, 0, 0, 0}, {0xb8, after, 0, 0, 0}, {}};
}

/// Sixteen times `mov $0, %eax`, then one stub of a call from the first of them to the last.
void place() {
    std::vector<uint8_t> text;
    for (unsigned i = 0; i < 16; ++i)
        text.insert(text.end(), {0xb8, 0, 0, 0, 0});
    text[0x40] = 0xe8; // the 13th, from 0x40 on
    text[0x41] = 75 - 0x45;
    text[0x45] = 0xeb;
    text[0x46] = static_cast<uint8_t>(5 - 0x47);
    fake::reset();
    fake::text.place(text_begin, text);
}

patch to_call() {
    return {text_begin, 0, 0, stub, 5, 0, {0xb8, 0, 0, 0, 0}, {0xe8, 75 - 5, 0, 0, 0}, {}};
}

/// Applies `bad` between two good patches: nothing at all may be written.
void check_refused(const patch& bad, patch_error why) {
    std::vector<patch> batch = {load(text_begin + 50, 0, 1), bad, load(text_begin + 55, 0, 1)};
    const unsigned writes = fake::text_writes;
    const unsigned synchronisations = fake::synchronisations;
    const auto result = apply(batch.data(), batch.size());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == why);
    CHECK(fake::text_writes == writes);
    CHECK(fake::synchronisations == synchronisations);
}

trap_frame hit(uintptr_t address) {
    trap_frame frame{};
    frame.ip = address + 1;
    return frame;
}

} // namespace

TEST_CASE("an NMI handler, a place that cannot synchronise, a second apply()") {
    place();
    patch one = load(text_begin, 0, 1);
    fake::cpu.nmi_in_progress = 1;
    check_refused(one, patch_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    check_refused(one, patch_error::cannot_synchronise);
    fake::can_synchronise = true;

    unsigned refused = 0;
    fake::observer = [&refused] {
        patch other = load(text_begin + 10, 0, 1);
        const auto result = apply(&other, 1);
        refused += !result.has_value() && result.error() == patch_error::busy;
    };
    REQUIRE(apply(&one, 1).has_value());
    CHECK(refused == 1 + 1 + 4 + 1 + 1 + 1); // after each byte and each synchronisation
    CHECK(fake::text.bytes[10 + 1] == 0);
    fake::observer = nullptr;
    patch other = load(text_begin + 10, 0, 1);
    CHECK(apply(&other, 1).has_value()); // and it is not busy for good
}

TEST_CASE("bad patches") {
    place();
    const patch good = load(text_begin, 0, 1);
    patch bad = good;
    bad.size = 0;
    check_refused(bad, patch_error::bad_size);
    bad.size = 16;
    check_refused(bad, patch_error::bad_size);
    bad.size = 4; // the instructions are longer
    check_refused(bad, patch_error::unknown_instruction);
    bad.size = 6;
    check_refused(bad, patch_error::unknown_instruction);
    bad = good;
    bad.expected_size = 6; // it is no probe
    check_refused(bad, patch_error::bad_size);
    bad = good;
    bad.after[0] = 0x05; // add $1, %eax
    check_refused(bad, patch_error::unknown_instruction);
    bad = good;
    bad.before[0] = 0x05;
    check_refused(bad, patch_error::unknown_instruction);

    check_refused(load(text_begin, 7, 1), patch_error::unexpected_bytes);
    check_refused(load(text_begin + 1, 0, 1), patch_error::unexpected_bytes); // off a boundary
    check_refused(load(text_begin + 80, 0, 1), patch_error::not_text);
    check_refused(load(text_begin + 76, 0, 1), patch_error::not_text); // its end
    check_refused(load(text_begin - 1, 0, 1), patch_error::not_text);
    check_refused(load(~uintptr_t{0} - 2, 0, 1), patch_error::not_text); // wraps
}

TEST_CASE("off an instruction boundary, though the bytes are as expected") {
    place();
    // mov $0x00b80000, %eax; add %al, (%eax); add %al, ...: from the fourth byte on it looks like
    // the load that the patch expects.
    fake::text.bytes[3] = 0xb8;
    for (unsigned i = 5; i < 10; ++i)
        fake::text.bytes[i] = 0;
    patch inside = load(text_begin + 3, 0, 1);
    inside.function = text_begin;
    check_refused(inside, patch_error::not_boundary);
    inside.function = text_begin + 3; // it is one for who begins there
    CHECK(apply(&inside, 1).has_value());
    CHECK(fake::text.bytes[4] == 1);
    inside = load(text_begin + 3, 1, 0);
    inside.function = 0; // and without a place to begin the bytes decide alone
    CHECK(apply(&inside, 1).has_value());
}

TEST_CASE("the walk to a site: where it begins, and what it meets") {
    place();
    patch last = load(text_begin + 20, 0, 1);
    last.function = text_begin + 21; // behind it
    check_refused(last, patch_error::not_boundary);
    last.function = text_begin - 1; // no text
    check_refused(last, patch_error::not_boundary);
    last.function = text_begin;
    fake::text.bytes[10] = breakpoint; // a probe, on what?
    check_refused(last, patch_error::not_boundary);
    fake::text.bytes[10] = 0x0f; // UD0, whose length the decoder does not know
    fake::text.bytes[11] = 0xff;
    check_refused(last, patch_error::not_boundary);
    fake::text.bytes[10] = 0xb8;
    fake::text.bytes[11] = 0;
    patch arm = {text_begin + 15, text_begin, 0, 0, 1, 0, {0xb8}, {breakpoint}, {}};
    arm.address += 1;
    arm.before[0] = 0;
    check_refused(arm, patch_error::not_boundary); // probes too
    arm.address -= 1;
    arm.before[0] = 0xb8;
    CHECK(apply(&arm, 1).has_value());
    std::swap(arm.before, arm.after);
    CHECK(apply(&arm, 1).has_value()); // its own INT3 is not on the way
    last.function = text_begin;
    CHECK(apply(&last, 1).has_value());
    fake::text.bytes[17] = 0x90;
    fake::text.bytes[18] = 0x8e; // mov %eax, %ss: nothing may trap behind it
    fake::text.bytes[19] = 0xd0;
    last = load(text_begin + 20, 1, 0);
    last.function = text_begin + 17;
    check_refused(last, patch_error::no_probe);
    last.function = text_begin + 20; // not known
    CHECK(apply(&last, 1).has_value());
}

TEST_CASE("overlaps, in any order") {
    place();
    const uintptr_t last = text_begin + 55;
    check_refused(load(last, 0, 1), patch_error::overlap); // the same site twice
    patch inside = load(last + 3, 0, 1);
    fake::text.bytes[last + 3 - text_begin] = 0xb8;
    fake::text.bytes[last + 4 - text_begin] = 0;
    fake::text.bytes[last + 5 - text_begin] = 0;
    // Its bytes are as expected, those of the site it lies in are not any more; give that one a
    // length that fits.
    std::vector<patch> batch = {
        inside, {last, 0, 0, 0, 5, 0, {0xb8, 0, 0, 0xb8, 0}, {0xb8, 1, 0, 0xb8, 0}, {}}};
    const auto result = apply(batch.data(), batch.size());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == patch_error::overlap);
    CHECK(fake::text_writes == 0);
}

TEST_CASE("no-probe code: the platform's, and the breakpoint handler itself") {
    place();
    fake::no_probe = {{text_begin + 4, text_begin + 5}}; // one byte of it is enough
    check_refused(load(text_begin, 0, 1), patch_error::no_probe);
    fake::no_probe = {{text_begin + 5, text_begin + 10}};
    patch beside = load(text_begin, 0, 1);
    CHECK(apply(&beside, 1).has_value());
    place();
    check_refused(load(reinterpret_cast<uintptr_t>(&handle_breakpoint), 0, 1),
                  patch_error::no_probe);
}

TEST_CASE("a call needs a stub that does the same") {
    place();
    patch good = to_call();
    CHECK(apply(&good, 1).has_value());
    place();
    patch bad = to_call();
    bad.stub_after = 0;
    check_refused(bad, patch_error::bad_stub);
    bad.stub_after = stub + 5; // no call there
    check_refused(bad, patch_error::bad_stub);
    bad = to_call();
    bad.after[1] += 1; // calls something else
    check_refused(bad, patch_error::bad_stub);
    fake::text.bytes[0x46] += 1; // comes back elsewhere
    check_refused(to_call(), patch_error::bad_stub);
    fake::text.bytes[0x46] -= 1;
    fake::text.bytes[0x45] = 0x90; // does not come back
    check_refused(to_call(), patch_error::bad_stub);
}

TEST_CASE("a stub is not patched in the same batch") {
    place();
    const auto applied_with = [](const patch& other) {
        std::vector<patch> batch = {load(text_begin + 10, 0, 1), to_call(), other,
                                    load(text_begin + 15, 0, 1), load(text_begin + 20, 0, 1)};
        return apply(batch.data(), batch.size());
    };
    const auto check_bad_stub = [&](const patch& other) {
        const auto bytes = fake::text.bytes;
        const auto result = applied_with(other);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error() == patch_error::bad_stub);
        CHECK(fake::text.bytes == bytes);
        CHECK(fake::synchronisations == 0);
    };
    // The stub's second instruction; probes on its last byte and its first.
    check_bad_stub({stub + 5, 0, 0, 0, 2, 0, {0xeb, 5 - 0x47 + 256}, {0x66, 0x90}, {}});
    check_bad_stub({stub + 6, 0, 0, 0, 1, 0, {5 - 0x47 + 256}, {breakpoint}, {}});
    check_bad_stub({stub, 0, 0, 0, 1, 0, {0xe8}, {breakpoint}, {}});
    // Both ends of what reaches into it.
    fake::text.write(stub - 1, 0xb0);
    check_bad_stub({stub - 1, 0, 0, 0, 2, 0, {0xb0, 0xe8}, {0xb0, 0}, {}});
    // What is beside it may be.
    std::vector<patch> beside = {to_call(),
                                 {stub - 1, 0, 0, 0, 1, 0, {0xb0}, {breakpoint}, {}},
                                 {stub + 7, 0, 0, 0, 1, 0, {0}, {breakpoint}, {}}};
    CHECK(apply(beside.data(), beside.size()).has_value());
    // The way back: now the stub belongs to what is replaced.
    patch back = to_call();
    std::swap(back.before, back.after);
    std::swap(back.stub_before, back.stub_after);
    std::vector<patch> both = {back, {stub, 0, 0, 0, 1, 0, {0xe8}, {breakpoint}, {}}};
    const auto result = apply(both.data(), both.size());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == patch_error::bad_stub);
    CHECK(apply(both.data(), 1).has_value());
}

TEST_CASE("an empty batch does nothing") {
    place();
    const auto result = apply(nullptr, 0);
    REQUIRE(result.has_value());
    CHECK(*result == 0);
    CHECK(fake::synchronisations == 0);
}

TEST_CASE("a probe: INT3 on any instruction, its hits left to others, in one synchronisation") {
    place();
    fake::text.bytes[0] = 0x05; // add, which this module does not know
    fake::text.synchronise();
    const uint8_t first = 0x05;
    patch arm = {text_begin, 0, 0, 0, 1, 0, {first}, {breakpoint}, {}};
    bool foreign = true;
    fake::observer = [&foreign] {
        trap_frame frame = hit(text_begin);
        foreign &= fake::text.bytes[0] != breakpoint || !handle_breakpoint(frame);
    };
    REQUIRE(apply(&arm, 1).has_value());
    CHECK(foreign);
    CHECK(fake::text.bytes[0] == breakpoint);
    CHECK(fake::synchronisations == 1);
    // While it is armed nobody else can patch the site.
    check_refused({text_begin, 0, 0, 0, 5, 0, {0xb8, 0, 0, 0, 0}, {0xb8, 1, 0, 0, 0}, {}},
                  patch_error::unexpected_bytes);
}

TEST_CASE("a probe whose whole instruction is expected") {
    place();
    patch arm = {text_begin, 0, 0, 0, 1, 5, {0xb8, 0, 0, 0, 0}, {breakpoint}, {}};
    arm.before[4] = 1;
    check_refused(arm, patch_error::unexpected_bytes);
    arm.before[4] = 0;
    arm.expected_size = 16;
    check_refused(arm, patch_error::bad_size);
    arm.expected_size = 5;
    fake::no_probe = {{text_begin + 4, text_begin + 5}};
    check_refused(arm, patch_error::no_probe);
    fake::no_probe.clear();
    patch batch[] = {{text_begin + 1, 0, 0, 0, 1, 0, {0}, {breakpoint}, {}}, arm};
    const auto both = apply(batch, 2);
    REQUIRE_FALSE(both.has_value());
    CHECK(both.error() == patch_error::overlap); // one would change what the other expects
    CHECK(fake::text_writes == 0);
    CHECK(apply(&arm, 1).has_value());
    CHECK(fake::text_writes == 1); // the rest is not written
    CHECK(fake::synchronisations == 1);
    CHECK(fake::text.bytes[0] == breakpoint);
    patch two_bytes = {text_begin + 5, 0, 0, 0, 2, 1, {0xb8, 0}, {0x66, 0x90}, {}};
    check_refused(two_bytes, patch_error::bad_size);
}

TEST_CASE("a probe comes off again, and a CPU that hit it before executes what is there") {
    place();
    fake::text.bytes[0] = breakpoint;
    fake::text.synchronise();
    patch disarm = {text_begin, 0, 0, 0, 1, 0, {breakpoint}, {0xb8}, {}};
    REQUIRE(apply(&disarm, 1).has_value());
    CHECK(fake::text.bytes[0] == 0xb8);
    CHECK(fake::synchronisations == 1);
    trap_frame late = hit(text_begin);
    CHECK(handle_breakpoint(late));
    CHECK(late.ip == text_begin);
}

TEST_CASE("breakpoints outside any batch") {
    place();
    fake::text.bytes[5] = breakpoint;
    trap_frame foreign = hit(text_begin + 5);
    CHECK_FALSE(handle_breakpoint(foreign));
    CHECK(foreign.ip == text_begin + 6);
    trap_frame elsewhere = hit(text_begin + 4096);
    CHECK_FALSE(handle_breakpoint(elsewhere));
    trap_frame late = hit(text_begin + 10);
    CHECK(handle_breakpoint(late));
    CHECK(late.ip == text_begin + 10);
}

TEST_CASE("a late breakpoint whose site the next batch takes while the handler looks") {
    place();
    trap_frame late = hit(text_begin);
    // No batch had it when the handler looked; now it is the INT3 of a new one.
    fake::before_read = [] {
        internal::active.batches += 1;
        fake::text.bytes[0] = breakpoint;
    };
    CHECK(handle_breakpoint(late));
    CHECK(late.ip == text_begin); // the next trap tells
    fake::before_read = nullptr;
    trap_frame foreign = hit(text_begin);
    CHECK_FALSE(handle_breakpoint(foreign));
}

TEST_CASE("a foreign breakpoint while a batch is being applied is still foreign") {
    place();
    fake::text.bytes[20] = breakpoint;
    unsigned foreign = 0;
    fake::observer = [&foreign] {
        trap_frame frame = hit(text_begin + 20);
        foreign += !handle_breakpoint(frame) && frame.ip == text_begin + 21;
    };
    std::vector<patch> batch = {load(text_begin + 15, 0, 1), load(text_begin + 25, 0, 1)};
    REQUIRE(apply(batch.data(), batch.size()).has_value());
    CHECK(foreign == 2 * 6 + 3);
}
