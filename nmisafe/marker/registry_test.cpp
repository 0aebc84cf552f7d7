// SPDX-License-Identifier: MIT
// Probes come and go, on the fake platform: its code cannot be patched, so the markers are of the
// kind that loads a flag, but for one. Patched ones are in hosted_test.cpp.
#include "nmisafe/marker/registry_test.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <doctest/doctest.h>
#include <string>
#include <utility>

extern "C" const nmisafe::immediate::site __start_nmisafe_immediate_sites[];

using namespace nmisafe;
using marker::marker_error;
using marker::probe;
using marker::test_probe;

namespace {

using fake = nmisafe_platform;

std::string calls; // one letter a call
uint64_t last_value;

void note(const marker::marker& which, void* private_data, const marker::arguments& values) {
    calls += *static_cast<const char*>(private_data);
    REQUIRE(values.size() == 1);
    last_value = values[0].as_unsigned();
    CHECK(which.argument(0) == values[0].type());
    CHECK(fake::count != 0); // a section that grace periods wait for
}

char letters[] = "abcd";

void hit(unsigned value) {
    _trace_mark(registry, number, "value %u", value);
}
void hit_one_name_two_formats() {
    _trace_mark(registry, twice, "value %u", 1);
    _trace_mark(registry, twice, "value %x", 2);
}
[[gnu::noinline]] void hit_patched() {
    trace_mark(registry, patched, "value %u", 1);
}
[[gnu::noinline]] void hit_last() { // the last marker of all in the table
    _trace_mark(registry, last, "value %u", 1);
}

auto add(probe& one, const char* format = "value %u") {
    return marker::register_probe("registry", "number", format, one);
}

text_patch::patch workspace[8];

struct fixture {
    fixture() {
        fake::reset();
        immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
        calls.clear();
    }
};

/// The one patched site, in the fake's text: patching looks at it there, and changes it there.
/// @return its address.
uintptr_t place_patched() {
    const immediate::site& site = __start_nmisafe_immediate_sites[0];
    const auto* const code = reinterpret_cast<const uint8_t*>(site.code());
    fake::text.place(site.code(), {code, code + site.size});
    return site.code();
}

const marker::marker* find(const std::string& name) {
    for (const marker::marker& one : marker::all_markers{})
        if (one.name() == name)
            return &one;
    return nullptr;
}

} // namespace

TEST_CASE_FIXTURE(fixture, "one probe: on, called, off") {
    test_probe one(note, &letters[0]);
    hit(1);
    CHECK(calls.empty());
    const auto on = add(one);
    REQUIRE(on);
    CHECK(std::string((*on)->channel()) == "registry");
    CHECK(std::string((*on)->name()) == "number");
    CHECK(std::string((*on)->format()) == "value %u");
    CHECK((*on)->is_on());
    CHECK((*on)->arm_count() == 1);
    CHECK(one.registered_with() == *on);
    hit(42);
    CHECK(calls == "a");
    CHECK(last_value == 42);
    CHECK(fake::count == 0);
    const auto off = marker::unregister_probe(one);
    REQUIRE(off);
    CHECK(*off == *on);
    CHECK_FALSE((*off)->is_on());
    CHECK((*off)->arm_count() == 0);
    CHECK(one.registered_with() == nullptr);
    hit(43);
    CHECK(calls == "a");
    CHECK(fake::grace_periods == 0);
}

TEST_CASE_FIXTURE(fixture, "several probes, in order of registration, each taken out") {
    for (unsigned out = 0; out < 3; ++out) {
        calls.clear();
        test_probe a(note, &letters[0]);
        test_probe b(note, &letters[1]);
        test_probe c(note, &letters[2]);
        probe* const all[] = {&a, &b, &c};
        for (probe* one : all)
            REQUIRE(add(*one));
        CHECK(find("number")->arm_count() == 3);
        hit(1);
        CHECK(calls == "abc");
        REQUIRE(marker::unregister_probe(*all[out]));
        calls.clear();
        hit(1);
        CHECK(calls == std::string("abc").erase(out, 1));
        CHECK(find("number")->is_on());
        test_probe d(note, &letters[3]);
        REQUIRE(add(d));
        calls.clear();
        hit(1);
        CHECK(calls == std::string("abcd").erase(out, 1));
        for (probe* one : {&a, &b, &c, &d})
            CHECK(marker::unregister_probe(*one).has_value() == (one != all[out]));
        CHECK_FALSE(find("number")->is_on());
        REQUIRE(marker::synchronise());
    }
}

TEST_CASE_FIXTURE(fixture, "by channel, name, function and private data") {
    test_probe a(note, &letters[0]);
    test_probe b(note, &letters[1]);
    REQUIRE(add(a));
    REQUIRE(add(b));
    const auto wrong = marker::unregister_probe("registry", "number", note, &letters[2]);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error() == marker_error::not_registered);
    const auto unknown = marker::unregister_probe("registry", "none", note, &letters[0]);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error() == marker_error::no_marker);
    const auto right = marker::unregister_probe("registry", "number", note, &letters[0]);
    REQUIRE(right);
    CHECK(*right == &a);
    hit(1);
    CHECK(calls == "b");
    REQUIRE(marker::unregister_probe(b));
}

TEST_CASE_FIXTURE(fixture, "what is refused leaves the marker off") {
    test_probe one(note, &letters[0]);
    const auto expect = [&one](const auto& result, marker_error why) {
        REQUIRE_FALSE(result);
        CHECK(result.error() == why);
        CHECK(one.registered_with() == nullptr);
        for (const marker::marker& each : marker::all_markers{}) {
            CHECK_FALSE(each.is_on());
            CHECK(each.arm_count() == 0);
        }
    };
    expect(add(one, "value %x"), marker_error::format_mismatch);
    expect(add(one, "value %u "), marker_error::format_mismatch);
    expect(add(one, ""), marker_error::format_mismatch);
    expect(marker::register_probe("registry", "none", nullptr, one), marker_error::no_marker);
    expect(marker::register_probe("other", "number", nullptr, one), marker_error::no_marker);
    expect(marker::register_probe("registry", "twice", nullptr, one), marker_error::ambiguous);
    expect(marker::register_probe("registry", "twice", "%p", one), marker_error::format_mismatch);
    expect(marker::register_probe("registry", "patched", nullptr, one), marker_error::not_patched);
    expect(marker::unregister_probe(one), marker_error::not_registered);
    fake::cpu.nmi_in_progress = 1;
    expect(add(one), marker_error::in_nmi);
    expect(marker::unregister_probe(one), marker_error::in_nmi);
    expect(marker::synchronise(), marker_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    expect(add(one), marker_error::cannot_synchronise);
    expect(marker::synchronise(), marker_error::cannot_synchronise);
    fake::can_synchronise = true;
    fake::count = 1;
    expect(marker::synchronise(), marker_error::cannot_synchronise);
    fake::count = 0;
    hit(1);
    hit_one_name_two_formats();
    hit_patched();
    hit_last();
    CHECK(calls.empty());
    CHECK(fake::grace_periods == 0);
    REQUIRE(add(one, nullptr)); // any format will do, and nothing above has used the probe up
    hit(1);
    CHECK(calls == "a");
    REQUIRE(marker::unregister_probe(one));
}

TEST_CASE_FIXTURE(fixture, "a probe goes also when its marker cannot be turned off") {
    test_probe one(note, &letters[0]);
    test_probe other(note, &letters[1]);
    const auto on = add(one);
    REQUIRE(on);
    const marker::marker& which = **on;

    // While another patcher is at work.
    fake::text.place(0x40000000, {0xb8, 1, 0, 0, 0});
    text_patch::patch change{0x40000000, 0, 0, 0, 5, 0, {0xb8, 1}, {0xb8, 2}, {}};
    const auto during_patch = [&](auto action) {
        bool done = false;
        fake::observer = [&] {
            if (!std::exchange(done, true))
                action();
        };
        REQUIRE(text_patch::apply(&change, 1));
        fake::observer = nullptr;
        std::swap(change.before, change.after);
        CHECK(done);
    };
    const auto unregister = [&] { REQUIRE(marker::unregister_probe(one)); };
    during_patch([&] {
        unregister();
        CHECK(one.registered_with() == nullptr);
        CHECK(which.arm_count() == 0);
        CHECK(which.is_on()); // without probes
        hit(1);
        CHECK(calls.empty());
        const auto still = marker::turn_off_idle();
        REQUIRE_FALSE(still);
        CHECK(still.error() == marker_error::busy);
    });
    CHECK(which.is_on());
    // By whichever registration comes next, also if that comes to nothing.
    CHECK(marker::unregister_probe("registry", "number", note, &letters[0]).error() ==
          marker_error::not_registered);
    CHECK_FALSE(which.is_on());
    REQUIRE(marker::synchronise());

    // Or by who asks for it.
    REQUIRE(add(one));
    during_patch(unregister);
    CHECK(which.is_on());
    CHECK(marker::turn_off_idle());
    CHECK_FALSE(which.is_on());
    REQUIRE(marker::synchronise());

    // Or it is one that has a probe again.
    REQUIRE(add(one));
    during_patch(unregister);
    REQUIRE(add(other));
    CHECK(which.is_on());
    hit(1);
    CHECK(calls == "b");
    REQUIRE(marker::unregister_probe(other));
    CHECK_FALSE(which.is_on());
}

TEST_CASE_FIXTURE(fixture, "of those that cannot be turned off the first says why") {
    test_probe one(note, &letters[0]);
    const uintptr_t site = place_patched();
    const auto on = marker::register_probe("registry", "patched", nullptr, one);
    REQUIRE(on);
    const marker::marker& which = **on;
    const uint8_t whole = fake::text.bytes[0];
    fake::text.write(site, 0xcc); // somebody's breakpoint
    REQUIRE(marker::unregister_probe(one));
    CHECK(which.is_on());
    const marker::marker* last = nullptr;
    for (const marker::marker& other : marker::all_markers{})
        last = &other;
    REQUIRE(last != &which); // behind it comes one with which nothing is wrong
    REQUIRE_FALSE(last->is_on());
    const auto still = marker::turn_off_idle();
    REQUIRE_FALSE(still);
    CHECK(still.error() == marker_error::not_patched);
    fake::text.write(site, whole);
    CHECK(marker::turn_off_idle());
    CHECK_FALSE(which.is_on());
}

TEST_CASE_FIXTURE(fixture, "a handler unregisters nothing") {
    test_probe one(note, &letters[0]);
    REQUIRE(add(one));
    fake::can_synchronise = false;
    CHECK(marker::unregister_probe(one).error() == marker_error::cannot_synchronise);
    CHECK(marker::unregister_probe("registry", "number", note, &letters[0]).error() ==
          marker_error::cannot_synchronise);
    CHECK(marker::turn_off_idle().error() == marker_error::cannot_synchronise);
    CHECK(one.registered_with() != nullptr);
    hit(1);
    CHECK(calls == "a");
    fake::can_synchronise = true;
    REQUIRE(marker::unregister_probe(one));
}

TEST_CASE_FIXTURE(fixture, "of two formats under a name each is its own marker") {
    test_probe one(note, &letters[0]);
    const auto on = marker::register_probe("registry", "twice", "value %x", one);
    REQUIRE(on);
    hit_one_name_two_formats();
    CHECK(calls == "a");
    CHECK(last_value == 2);
    REQUIRE(marker::unregister_probe("registry", "twice", note, &letters[0]));
}

TEST_CASE_FIXTURE(fixture, "a probe is free again after a grace period begun when it was out") {
    test_probe one(note, &letters[0]);
    REQUIRE(add(one));
    const auto expect_in_use = [&one] {
        const auto again = add(one);
        REQUIRE_FALSE(again);
        CHECK(again.error() == marker_error::probe_in_use);
    };
    expect_in_use();
    REQUIRE(marker::synchronise());
    expect_in_use(); // registered all the time
    fake::during_grace_period = [&one] { REQUIRE(marker::unregister_probe(one)); };
    REQUIRE(marker::synchronise());
    fake::during_grace_period = nullptr;
    expect_in_use(); // that period began before
    REQUIRE(marker::synchronise());
    CHECK(fake::grace_periods == 3);
    REQUIRE(add(one));
    REQUIRE(marker::unregister_probe(one));
}

TEST_CASE_FIXTURE(fixture,
                  "a probe that takes itself out is called to the end, and the next one too") {
    static probe* self;
    static probe* next;
    calls.clear();
    test_probe one(
        [](const marker::marker&, void*, const marker::arguments&) {
            calls += '1';
            CHECK(marker::unregister_probe(*self));
            CHECK(marker::unregister_probe(
                *next)); // it is called once more: who walks the list sees it
            CHECK_FALSE(marker::synchronise()); // would wait for itself
        },
        nullptr);
    test_probe two(note, &letters[1]);
    self = &one;
    next = &two;
    REQUIRE(add(one));
    REQUIRE(add(two));
    hit(1);
    CHECK(calls == "1b");
    CHECK_FALSE(find("number")->is_on());
}

TEST_CASE_FIXTURE(fixture, "while one registration is at work the next is told so") {
    place_patched();
    static test_probe other(note, &letters[1]);
    static unsigned refused;
    fake::before_read = [] {
        const auto second = add(other);
        const auto third = marker::unregister_probe(other);
        refused += !second && second.error() == marker_error::busy;
        refused += !third && third.error() == marker_error::busy;
    };
    test_probe one(note, &letters[0]);
    const auto on = marker::register_probe("registry", "patched", nullptr, one);
    fake::before_read = nullptr;
    REQUIRE(on);
    CHECK(refused >= 2);
    CHECK((*on)->is_on());
    CHECK(other.registered_with() == nullptr);
    REQUIRE(marker::unregister_probe(one));
}
