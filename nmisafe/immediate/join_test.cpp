// SPDX-License-Identifier: MIT
// Tables of sites that come and go: what is written, when, and that all or nothing of it is.
// Tables that are no good are in check_test.cpp.
#include "nmisafe/immediate/join_test.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe;
using namespace nmisafe::immediate::test;
using fake = nmisafe_platform;
using immediate::join_error;
using text_patch::patch_error;

namespace {

/// Keys of the program. Its own table is empty here: hosted_joined_test.cpp has sites in both.
struct {
    immediate::immediate<bool> flag;
    immediate::immediate<uint32_t, 5> number;
} shared;
auto& shared_flag = shared.flag;
auto& shared_number = shared.number;

/// Two modules, whose code is one piece of text.
struct {
    module_image first;
    module_image second;
} memory;

text_patch::patch workspace[8];

/// mov $5, %eax; nop (5 bytes); mov $7, %ecx; nop (5 bytes); ret
const std::vector<uint8_t> code = {0xb8, 5, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0, //
                                   0xb9, 7, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0, 0xc3};
constexpr size_t shared_number_at = 0;
constexpr size_t shared_flag_at = 5;
constexpr size_t number_at = 10;
constexpr size_t flag_at = 15;
constexpr size_t target = 40;

void load(module_image& module) {
    module.reset();
    module.range.shared = {reinterpret_cast<uintptr_t>(&shared),
                           reinterpret_cast<uintptr_t>(&shared + 1)};
    module.add(shared_number_at, 5, shared_number.as_key());
    module.add(shared_flag_at, 5, shared_flag.as_key(), target);
    module.add(number_at, 5, module.number.as_key());
    module.add(flag_at, 5, module.flag.as_key(), target);
    for (size_t i = 0; i < code.size(); ++i)
        fake::text.write(module.at(i), code[i]);
}

struct fixture {
    fixture() {
        fake::reset();
        const auto begin = reinterpret_cast<uintptr_t>(&memory);
        fake::text.place(begin, std::vector<uint8_t>(sizeof memory, 0xcc));
        immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
        REQUIRE(immediate::set(shared_flag, false));
        REQUIRE(immediate::set(shared_number, 5));
        load(memory.first);
        load(memory.second);
        fake::text.synchronise();
        REQUIRE(immediate::site_count() == 0);
    }
    ~fixture() {
        fake::reset();
        (void)immediate::leave(memory.first.range);
        (void)immediate::leave(memory.second.range);
    }
};

uint8_t byte_at(const module_image& module, size_t offset) {
    return fake::text.bytes.at(module.at(offset) - fake::text.begin);
}
uint32_t number_of(const module_image& module, size_t offset) {
    return byte_at(module, offset + 1) + (uint32_t{byte_at(module, offset + 4)} << 24);
}
bool jumps(const module_image& module, size_t offset) {
    return byte_at(module, offset) == 0xe9 && number_of(module, offset) == target - offset - 5;
}

template <typename Result>
void expect(const Result& result, join_error why) {
    REQUIRE_FALSE(result);
    CHECK(result.error() == why);
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a table that is up to date joins without a write") {
    CHECK(*immediate::join(memory.first.range) == 0);
    CHECK(fake::text_writes == 0);
    CHECK(fake::synchronisations == 0);
    CHECK(immediate::site_count() == 4);
    CHECK(immediate::site_count(shared_flag.as_key()) == 1);
    CHECK(*immediate::leave(memory.first.range) == 4);
}

TEST_CASE_FIXTURE(fixture, "sites are brought to what their keys hold now") {
    REQUIRE(immediate::set(shared_flag, true));
    REQUIRE(immediate::set(shared_number, 0x80000009));
    CHECK_FALSE(jumps(memory.first, shared_flag_at)); // as the object file has them
    CHECK(number_of(memory.first, shared_number_at) == 5);
    CHECK(*immediate::join(memory.first.range) == 2);
    CHECK(jumps(memory.first, shared_flag_at));
    CHECK(number_of(memory.first, shared_number_at) == 0x80000009);
    CHECK(byte_at(memory.first, shared_number_at) == 0xb8);
    CHECK(number_of(memory.first, number_at) == 7);
    CHECK(fake::synchronisations == 3);
    // The other module has not joined.
    CHECK_FALSE(jumps(memory.second, shared_flag_at));
    // And back: a jump in the object file, a key that is false.
    REQUIRE(immediate::leave(memory.first.range));
    REQUIRE(immediate::set(shared_flag, false));
    CHECK(jumps(memory.first, shared_flag_at));
    CHECK(*immediate::join(memory.first.range) == 1);
    CHECK_FALSE(jumps(memory.first, shared_flag_at));
}

TEST_CASE_FIXTURE(fixture,
                  "set() changes joined sites, all tables in one batch, until they leave") {
    REQUIRE(immediate::join(memory.first.range));
    REQUIRE(immediate::join(memory.second.range));
    CHECK(immediate::site_count() == 8);
    CHECK(immediate::site_count(shared_flag.as_key()) == 2);
    CHECK(*immediate::set(shared_flag, true) == 2);
    CHECK(fake::synchronisations == 3);
    CHECK(jumps(memory.first, shared_flag_at));
    CHECK(jumps(memory.second, shared_flag_at));
    CHECK(*immediate::set(memory.first.number, 9) == 1);
    CHECK(number_of(memory.first, number_at) == 9);
    CHECK(number_of(memory.second, number_at) == 7);

    REQUIRE(immediate::leave(memory.second.range));
    const auto table = memory.second.table[1];
    memory.second.table[1] = {}; // unmapped, say
    CHECK(*immediate::set(shared_flag, false) == 1);
    CHECK_FALSE(jumps(memory.first, shared_flag_at));
    CHECK(jumps(memory.second, shared_flag_at));
    CHECK(immediate::site_count() == 4);
    CHECK(immediate::site_count(shared_flag.as_key()) == 1);
    memory.second.table[1] = table;
    CHECK(*immediate::join(memory.second.range) == 1);
    CHECK_FALSE(jumps(memory.second, shared_flag_at));
    REQUIRE(immediate::leave(memory.first.range)); // the last of the list
    CHECK(*immediate::set(shared_flag, true) == 1);
    CHECK(jumps(memory.second, shared_flag_at));
}

TEST_CASE_FIXTURE(fixture, "several keys at one instant") {
    REQUIRE(immediate::join(memory.first.range));
    const auto both = [](uintptr_t number, uintptr_t flag) {
        return immediate::set_together([=](auto change) {
            change(shared_number.as_key(), number);
            change(memory.first.flag.as_key(), flag);
        });
    };
    CHECK(*both(11, 1) == 2);
    CHECK(fake::synchronisations == 3);
    CHECK(number_of(memory.first, shared_number_at) == 11);
    CHECK(jumps(memory.first, flag_at));
    CHECK(shared_number.stored() == 11);
    CHECK(memory.first.flag.stored());
    immediate::use_workspace(workspace, 1);
    CHECK(both(12, 0).error() == patch_error::no_room);
    CHECK(shared_number.stored() == 11);
    CHECK(jumps(memory.first, flag_at));
    CHECK(*both(12, 1) == 1);
    CHECK(*both(12, 0) == 1);
}

TEST_CASE_FIXTURE(fixture, "a CPU that executes the code meanwhile sees the old or the new") {
    REQUIRE(immediate::set(shared_number, 9));
    const module_image& module = memory.first;
    unsigned emulated[2] = {}; // old, new
    fake::observer = [&] {
        const uint8_t* const first = &fake::text.fetchable[module.at(0) - fake::text.begin][0];
        const auto may_fetch = [&](size_t offset) -> const std::vector<uint8_t>& {
            return fake::text.fetchable[module.at(offset) - fake::text.begin];
        };
        // Bytes of two ages are only there behind an INT3 that every CPU sees.
        for (size_t i = 1; i < 5; ++i)
            if (may_fetch(i).size() > 1)
                CHECK(may_fetch(0) == std::vector<uint8_t>{0xcc});
        if (*first != 0xcc && byte_at(module, 0) != 0xcc)
            return;
        x86::trap_frame frame{};
        frame.ip = module.at(1);
        CHECK(text_patch::handle_breakpoint(frame));
        if (frame.ip != module.at(5)) // gone again: to be executed anew
            return;
        CHECK((frame.ax == 5 || frame.ax == 9));
        if (frame.ax == 5)
            CHECK(emulated[1] == 0); // never back
        ++emulated[frame.ax == 9];
    };
    CHECK(*immediate::join(memory.first.range) == 1);
    fake::observer = nullptr;
    CHECK(emulated[0] != 0);
    CHECK(emulated[1] != 0);
    CHECK(number_of(module, 0) == 9);
}

TEST_CASE_FIXTURE(fixture, "all sites of a table or none") {
    REQUIRE(immediate::set(shared_flag, true));
    REQUIRE(immediate::set(shared_number, 9));
    immediate::use_workspace(workspace, 1);
    expect(immediate::join(memory.first.range), join_error::no_room);
    immediate::use_workspace(workspace, 2);
    fake::no_probe = {{memory.first.at(shared_flag_at + 4), memory.first.at(shared_flag_at + 5)}};
    expect(immediate::join(memory.first.range), join_error::bad_site);
    CHECK(fake::text_writes == 0);
    CHECK(immediate::site_count() == 0);
    expect(immediate::leave(memory.first.range), join_error::not_joined);
    fake::no_probe.clear();
    // Somebody else's change between the checks and the patching.
    static unsigned reads;
    reads = 0;
    fake::before_read = [] {
        // The first read of the patching itself: the checks and the batch are complete.
        if (++reads == 11)
            fake::text.write(memory.first.at(shared_number_at + 1), 6);
    };
    expect(immediate::join(memory.first.range), join_error::not_patched);
    CHECK(reads == 11);
    fake::before_read = nullptr;
    CHECK(fake::text_writes == 0);
    CHECK(immediate::site_count() == 0);
    CHECK(*immediate::join(memory.first.range) == 2); // it holds 6, which is as good as 5
}

TEST_CASE_FIXTURE(fixture, "a probe on a site: nothing is written, and the error says why") {
    REQUIRE(immediate::join(memory.first.range));
    for (const size_t site : {shared_number_at, shared_flag_at}) {
        const uintptr_t where = memory.first.at(site);
        const uint8_t first = byte_at(memory.first, site);
        fake::text.write(where, text_patch::breakpoint);
        const unsigned writes = fake::text_writes;
        const auto changed = site == shared_number_at ? immediate::set(shared_number, 9)
                                                      : immediate::set(shared_flag, true);
        REQUIRE_FALSE(changed);
        // Not that the instruction is unknown: the value may be set when the probe is off.
        CHECK(changed.error() == patch_error::unexpected_bytes);
        CHECK(fake::text_writes == writes);
        fake::text.write(where, first);
    }
    CHECK(shared_number.stored() == 5);
    CHECK_FALSE(shared_flag.stored());
    CHECK(*immediate::set(shared_number, 9) == 1);
    CHECK(*immediate::set(shared_flag, true) == 1);
}

TEST_CASE_FIXTURE(fixture, "where and when") {
    auto& range = memory.first.range;
    fake::cpu.nmi_in_progress = 1;
    expect(immediate::join(range), join_error::in_nmi);
    expect(immediate::leave(range), join_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    expect(immediate::join(range), join_error::cannot_synchronise);
    expect(immediate::leave(range), join_error::cannot_synchronise);
    fake::can_synchronise = true;
    expect(immediate::leave(range), join_error::not_joined);
    fake::before_read = [] {
        expect(immediate::join(memory.second.range), join_error::busy);
        expect(immediate::leave(memory.second.range), join_error::busy);
        CHECK(immediate::set(shared_flag, true).error() == patch_error::busy);
    };
    REQUIRE(immediate::join(range));
    fake::before_read = nullptr;
    expect(immediate::join(range), join_error::joined_already);
    auto again = range;
    expect(immediate::join(again), join_error::bad_table); // the same code
    CHECK(immediate::site_count() == 4);
}

TEST_CASE_FIXTURE(fixture, "a table whose keys others' sites have leaves after those") {
    module_image& lends = memory.first;
    module_image& borrows = memory.second;
    borrows.range.shared = {reinterpret_cast<uintptr_t>(&shared),
                            reinterpret_cast<uintptr_t>(&lends.sites)};
    borrows.table[0].key_offset = module_image::distance(reinterpret_cast<uintptr_t>(&lends.number),
                                                         &borrows.table[0].key_offset);
    REQUIRE(immediate::set(lends.number, 5));
    REQUIRE(immediate::join(lends.range));
    REQUIRE(immediate::join(borrows.range));
    const auto left = immediate::leave(lends.range);
    REQUIRE_FALSE(left);
    CHECK(left.error() == join_error::keys_in_use);
    CHECK(*immediate::set(lends.number, 9) == 2); // nothing has changed
    CHECK(byte_at(borrows, shared_number_at + 1) == 9);
    REQUIRE(immediate::leave(borrows.range));
    CHECK(*immediate::leave(lends.range) == 4);
    CHECK(immediate::site_count() == 0);
}

TEST_CASE_FIXTURE(fixture, "an empty table") {
    immediate::site_range empty{};
    CHECK(*immediate::join(empty) == 0);
    CHECK(*immediate::leave(empty) == 0);
}
