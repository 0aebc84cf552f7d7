// SPDX-License-Identifier: MIT
// Tables that are no good: each entry, and each bit of a good one, changed. Such a table is refused
// and nothing has been written, or what it says is harmless.
#include "nmisafe/immediate/join_test.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <random>
#include <vector>

using namespace nmisafe;
using namespace nmisafe::immediate::test;
using fake = nmisafe_platform;
using immediate::join_error;
using immediate::site;
using immediate::site_kind;

namespace {

module_image module;
text_patch::patch workspace[8];

struct placed {
    size_t offset;
    std::vector<uint8_t> bytes;
};

constexpr size_t target = 28;
constexpr uint8_t to_target = target - 20; // the displacement of the jump at 15

const std::vector<placed> code = {
    {0, {0xb8, 7, 0, 0, 0}},          // mov $7, %eax
    {5, {0xbf, 7, 0, 0, 0}},          // mov $7, %edi
    {10, {0x0f, 0x1f, 0x44, 0, 0}},   // nop
    {15, {0xe9, to_target, 0, 0, 0}}, // jmp target
#ifdef __x86_64__
    {20, {0x41, 0xbc, 7, 0, 0, 0}},             // mov $7, %r12d
    {30, {0x49, 0xbb, 7, 0, 0, 0, 0, 0, 0, 0}}, // mov $7, %r11
#else
    {30, {0xba, 7, 0, 0, 0}}, // mov $7, %edx
#endif
    {target, {0xc3}},
};

void write(size_t offset, const std::vector<uint8_t>& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i)
        fake::text.bytes.at(offset + i) = bytes[i];
}

/// A good table. The flag is false: the jump is to be made a NOP.
void make() {
    fake::reset();
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    fake::text.place(module.at(0), std::vector<uint8_t>(module_image::code_size, 0x90));
    for (const placed& one : code)
        write(one.offset, one.bytes);
    fake::text.synchronise();
    module.reset();
    module.add(0, 5, module.number.as_key());
    module.add(5, 5, module.number.as_key());
    module.add(10, 5, module.flag.as_key(), target);
    module.add(15, 5, module.flag.as_key(), target);
#ifdef __x86_64__
    module.add(20, 6, module.number.as_key());
    module.add(30, 10, module.number.as_key());
#else
    module.add(30, 5, module.number.as_key());
#endif
}

void check_refused(const char* what, join_error why, const std::function<void()>& damage) {
    CAPTURE(what);
    make();
    damage();
    const auto before = fake::text.bytes;
    const auto result = immediate::join(module.range);
    REQUIRE_FALSE(result);
    CHECK(result.error() == why);
    CHECK(fake::text.bytes == before);
    CHECK(fake::text_writes == 0);
    CHECK(immediate::site_count() == 0);
    CHECK(immediate::leave(module.range).error() == join_error::not_joined);
}

void check_bad_site(const char* what, const std::function<void()>& damage) {
    check_refused(what, join_error::bad_site, damage);
}

} // namespace

TEST_CASE("the good table is good") {
    make();
    CHECK(*immediate::join(module.range) == 1);
    CHECK(fake::text.bytes[15] == 0x0f);
    CHECK(immediate::set(module.number, 0x80808080));
    CHECK(immediate::set(module.flag, true));
    CHECK(fake::text.bytes[10] == 0xe9);
    REQUIRE(immediate::leave(module.range));
}

TEST_CASE("tables") {
    const auto bad = [](const char* what, const std::function<void()>& damage) {
        check_refused(what, join_error::bad_table, damage);
    };
    const auto move = [](const site* from, ptrdiff_t bytes) {
        return reinterpret_cast<const site*>(reinterpret_cast<uintptr_t>(from) +
                                             static_cast<uintptr_t>(bytes));
    };
    bad("upside down", [] { std::swap(module.range.begin, module.range.end); });
    bad("part of an entry", [&] { module.range.end = move(module.range.end, 8); });
    bad("not aligned", [&] {
        module.range.begin = move(module.range.begin, 2);
        module.range.end = move(module.range.end, 2);
    });
    bad("more than the code has room for", [&] { module.range.end += 1 << 20; });
    bad("without code", [] { module.range.code = {}; });
    bad("code upside down", [] { std::swap(module.range.code.begin, module.range.code.end); });
}

TEST_CASE("entries") {
    check_bad_site("code outside of the range", [] { module.range.code.begin += 1; });
    check_bad_site("code that ends outside", [] { module.range.code.end = module.at(34); });
    check_bad_site("target outside", [] { module.table[2].target_offset += 64; });
    check_bad_site("no text", [] { fake::text.bytes.resize(34); });
    check_bad_site("target no text", [] {
        module.table[2].target_offset += 32;
        fake::text.bytes.resize(45);
    });
    check_bad_site("no-probe code", [] { fake::no_probe = {{module.at(4), module.at(5)}}; });
    check_bad_site("key outside", [] { module.range.data.begin += sizeof(uintptr_t); });
    check_bad_site("key that ends outside", [] { module.range.data.end -= 1 + sizeof(size_t); });
    check_bad_site("key not aligned", [] { module.table[0].key_offset += 1; });
    check_bad_site("size", [] { module.table[0].size = 4; });
    check_bad_site("size of a branch", [] { module.table[2].size = 6; });
    check_bad_site("kind", [] { module.table[0].kind = static_cast<site_kind>(2); });
    check_bad_site("value as branch", [] { module.table[0].kind = site_kind::branch; });
    check_bad_site("branch as value", [] { module.table[2].kind = site_kind::value; });
    check_bad_site("reserved", [] { module.table[1].reserved = 1; });
    check_bad_site("target of a value", [] { module.table[0].target_offset = 4; });
    check_bad_site("another target", [] { module.table[3].target_offset += 1; });
    check_bad_site("another key of the wrong type", [] { module.flag.as_key().bits = 2; });
    check_bad_site("within an instruction", [] { module.table[0].code_offset += 1; });
    check_bad_site("one byte in common", [] {
        write(4, {0xb8}); // the last byte of the first load begins another
        module.table[1].code_offset -= 1;
    });
    check_bad_site("twice", [] {
        const size_t last = module.sites - 1;
        std::memcpy(&module.table[last], &module.table[0], sizeof(site));
        module.table[last].code_offset -= static_cast<int32_t>(last * sizeof(site));
        module.table[last].key_offset -= static_cast<int32_t>(last * sizeof(site));
    });
#ifdef __x86_64__
    check_bad_site("a value of more than 32 bits",
                   [] { module.number.as_key().bits = uintptr_t{1} << 32; });
#endif
}

TEST_CASE("code") {
    check_bad_site("a breakpoint", [] { write(0, {0xcc}); });
    check_bad_site("another instruction", [] { write(0, {0x05}); });
    check_bad_site("load of the stack pointer", [] { write(0, {0xbc}); });
    check_bad_site("another NOP", [] { write(10, {0x66, 0x0f, 0x1f, 0x40, 0}); });
    check_bad_site("a jump elsewhere", [] { write(16, {to_target + 1}); });
#ifdef __x86_64__
    check_bad_site("no REX", [] { write(20, {0x66}); });
    check_bad_site("REX with a bit that means nothing", [] { write(20, {0x45}); });
    check_bad_site("REX.W in the short form", [] { write(20, {0x49}); });
    check_bad_site("no REX.W in the long form", [] { write(30, {0x41}); });
    check_bad_site("load of the stack pointer, wide", [] { write(30, {0x48, 0xbc}); });
#endif
}

/// Whatever is changed: nothing outside of the code is read as code (the fake would throw) nor
/// outside of the data as a key (a damaged offset leads far away: that would crash), what is
/// refused has left the code alone, and what is accepted can be set.
TEST_CASE("random damage") {
    std::mt19937 random(1);
    const auto below = [&](size_t limit) { return random() % limit; };
    unsigned accepted = 0;
    unsigned refused = 0;
    for (unsigned turn = 0; turn < 30000; ++turn) {
        make();
        auto* const table = reinterpret_cast<uint8_t*>(module.table);
        for (size_t damages = 1 + below(3); damages != 0; --damages) {
            const size_t where = below(module.sites * sizeof(site));
            switch (below(4)) {
            case 0:
                table[where] = static_cast<uint8_t>(random());
                break;
            case 1:
                table[where] ^= static_cast<uint8_t>(1U << below(8));
                break;
            case 2:
                table[where] = static_cast<uint8_t>(table[where] + (below(2) != 0 ? 5 : -5));
                break;
            default:
                fake::text.bytes[below(64)] = static_cast<uint8_t>(random());
                break;
            }
        }
        const auto before = fake::text.bytes;
        if (immediate::join(module.range)) {
            ++accepted;
            // What has joined can be set.
            CHECK(immediate::set(module.number, 0x12345));
            CHECK(immediate::set(module.flag, true));
            CHECK(immediate::set(module.flag, false));
            REQUIRE(immediate::leave(module.range));
        } else {
            ++refused;
            REQUIRE(fake::text.bytes == before);
            REQUIRE(immediate::site_count() == 0);
        }
    }
    CHECK(accepted > 100); // damage to padding between instructions, say
    CHECK(refused > 1000);
    MESSAGE("accepted " << accepted << ", refused " << refused);
}
