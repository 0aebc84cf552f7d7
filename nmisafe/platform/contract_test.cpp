// SPDX-License-Identifier: MIT
// The contract: the fake fulfils it, and the optional parts are told from absent ones. What a
// kernel without a required function gets to read is tested in tests/compile_fail/contract.cpp.
#include "nmisafe/platform/contract.hpp"

#include <doctest/doctest.h>

namespace platform = nmisafe::platform;

namespace {

struct only_required {
    static uint32_t preempt_count() { return 0; }
    static void add_preempt_count(uint32_t) {}
    static platform::cpu_state& this_cpu() { return nmisafe_platform::cpu; }
    [[noreturn]] static void panic(const platform::failure& why) { nmisafe_platform::panic(why); }
};
static_assert(platform::check_contract<only_required>());
static_assert(!platform::has_write_text<only_required>, "text patching is for those who use it");
static_assert(platform::check_text_contract<platform::contract>());

struct half_a_lock_checker : only_required {
    static void lock_checker_off() {}
};
struct checked : only_required {
    static constexpr bool checks_counts = true;
};

} // namespace

TEST_CASE("optional parts are seen when they are there, and only then") {
    CHECK(platform::has_lock_checker<platform::contract>);
    CHECK(platform::has_irq_accounting<platform::contract>);
    CHECK(platform::has_return_capture<platform::contract>);
    CHECK(platform::has_add_preempt_byte<platform::contract>);
    CHECK_FALSE(platform::checks_counts<platform::contract>);

    CHECK_FALSE(platform::has_lock_checker<only_required>);
    CHECK_FALSE(platform::has_irq_accounting<only_required>);
    CHECK_FALSE(platform::has_return_capture<only_required>);
    CHECK_FALSE(platform::has_add_preempt_byte<only_required>);
    CHECK(platform::checks_counts<checked>);
}

TEST_CASE("half of a pair is present but not whole") {
    CHECK(platform::has_lock_checker<half_a_lock_checker>);
    CHECK_FALSE(platform::lock_checker_is_whole<half_a_lock_checker>);
}

TEST_CASE("the fake keeps the count modulo 2^32 and records it") {
    using fake = nmisafe_platform;
    fake::reset(5);
    fake::add_preempt_count(0xffff'ffff);
    CHECK(fake::preempt_count() == 4);
    REQUIRE(fake::calls.size() == 1);
    CHECK(fake::calls[0] == platform::fake::record{fake::call::add_preempt_count, 4});
    fake::reset();
    CHECK(fake::calls.empty());
    CHECK(fake::preempt_count() == 0);
}

TEST_CASE("the fake's panic carries the failure") {
    try {
        nmisafe_platform::panic({.what = "text", .frame = nullptr, .value = 7});
    } catch (const platform::fake::panicked& caught) {
        CHECK(caught.what == "text");
        CHECK(caught.value == 7);
        CHECK(caught.frame == nullptr);
        return;
    }
    FAIL("panic() came back");
}

TEST_CASE("the fake's text may be fetched old or new until CPUs synchronise") {
    using fake = nmisafe_platform;
    fake::reset();
    fake::text.place(0x1000, {1, 2, 3});
    const uint8_t bytes[] = {8, 9};
    unsigned observed = 0;
    fake::observer = [&observed] { ++observed; };
    fake::write_text(0x1001, bytes, 2);
    CHECK(observed == 2); // after each byte
    CHECK(fake::text.bytes == std::vector<uint8_t>{1, 8, 9});
    CHECK(fake::text.fetchable[0] == std::vector<uint8_t>{1});
    CHECK(fake::text.fetchable[1] == std::vector<uint8_t>{2, 8});
    fake::without_synchronisation = 1;
    fake::synchronise_cpus();
    CHECK(fake::text.fetchable[1] == std::vector<uint8_t>{2, 8});
    fake::synchronise_cpus();
    CHECK(fake::text.fetchable[1] == std::vector<uint8_t>{8});
    CHECK(fake::synchronisations == 2);
    CHECK(observed == 4);

    CHECK(fake::is_text(0x1000, 0x1003));
    CHECK_FALSE(fake::is_text(0x1002, 0x1004));
    fake::no_probe = {{0x1001, 0x1002}};
    CHECK(fake::is_no_probe(0x1000, 0x1002));
    CHECK_FALSE(fake::is_no_probe(0x1000, 0x1001));
    CHECK_FALSE(fake::is_no_probe(0x1002, 0x1003));
    fake::reset();
}
