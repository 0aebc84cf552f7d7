// SPDX-License-Identifier: MIT
// Tables of markers that come and go, on the fake platform. Tables that are no good are in
// check_test.cpp.
#include "nmisafe/immediate/join.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/marker/two_images_test.hpp"

#include <vector>

using namespace nmisafe;
using namespace marker::test;
using marker::marker_error;
using marker::probe;
using fake = nmisafe_platform;

namespace {

/// The program's own, which the images have too.
void hit_program(unsigned value) {
    _trace_mark(join, shared, "value %u", value);
}

text_patch::patch workspace[4];

struct fixture : two_images {
    fixture() { immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]); }
};

unsigned listed(const std::string& name) {
    unsigned count = 0;
    for (const marker::marker& one : marker::all_markers{})
        count += one.channel() == std::string("join") && one.name() == name;
    return count;
}

template <typename Result>
void expect(const Result& result, marker_error why) {
    REQUIRE_FALSE(result);
    CHECK(result.error() == why);
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a marker of a module alone") {
    probe one(note, &letters[0]);
    expect(add("own", one), marker_error::no_marker);
    CHECK(*marker::join(first.range) == image::count);
    CHECK(listed("own") == 1);
    CHECK(listed("none") == 1);
    expect(marker::register_probe("join", "own", "a %d", one), marker_error::format_mismatch);
    first.hit_own();
    CHECK(calls.empty());
    CHECK(*add("own", one) == &first.own());
    first.hit_own();
    CHECK(calls == "a");
    CHECK(first.own().arm_count() == 1);
    REQUIRE(marker::unregister_probe(one));
    first.hit_own();
    CHECK(calls == "a");
    CHECK(*marker::leave(first.range) == 0);
    CHECK(listed("own") == 0);
    expect(add("own", one), marker_error::no_marker);
}

TEST_CASE_FIXTURE(fixture, "the same marker in three images is one marker") {
    REQUIRE(marker::join(first.range));
    REQUIRE(marker::join(second.range));
    CHECK(listed("shared") == 1);
    CHECK(listed("own") == 1);
    probe a(note, &letters[0]);
    probe b(note, &letters[1]);
    const auto on = add("shared", a);
    REQUIRE(on);
    hit_program(1);
    CHECK(last_hit == *on);
    first.hit_shared(1);
    CHECK(last_hit == &first.shared());
    second.hit_shared(1);
    CHECK(last_hit == &second.shared());
    CHECK(calls == "aaa");
    REQUIRE(add("shared", b));
    for (const auto* one : {*on, &first.shared(), &second.shared()}) {
        CHECK(one->arm_count() == 2);
        CHECK(one->is_on());
    }
    calls.clear();
    first.hit_shared(1);
    hit_program(1);
    CHECK(calls == "abab");
    REQUIRE(marker::unregister_probe(a)); // the first of the list, in each image
    calls.clear();
    first.hit_shared(1);
    second.hit_shared(1);
    hit_program(1);
    CHECK(calls == "bbb");
    CHECK(first.shared().arm_count() == 1);
    REQUIRE(marker::unregister_probe("join", "shared", note, &letters[1]));
    calls.clear();
    first.hit_shared(1);
    hit_program(1);
    CHECK(calls.empty());
    for (const auto* one : {*on, &first.shared(), &second.shared()})
        CHECK_FALSE(one->is_on());
}

TEST_CASE_FIXTURE(fixture, "a newcomer is turned on if the marker has probes, else off") {
    probe a(note, &letters[0]);
    REQUIRE(add("shared", a));
    CHECK_FALSE(first.shared().is_on());
    first.data.flags[1].as_key().bits = 1; // left on when it left
    REQUIRE(marker::join(first.range));
    CHECK(first.shared().is_on());
    CHECK(first.shared().arm_count() == 1);
    CHECK_FALSE(first.own().is_on());
    first.hit_shared(1);
    CHECK(calls == "a");
    REQUIRE(marker::unregister_probe(a));
    CHECK_FALSE(first.shared().is_on());
}

TEST_CASE_FIXTURE(fixture, "an image leaves, the same marker elsewhere goes on") {
    REQUIRE(marker::join(first.range));
    REQUIRE(marker::join(second.range));
    probe own(note, &letters[0]);
    probe shared(note, &letters[1]);
    const auto which = add("own", own);
    REQUIRE(which);
    REQUIRE(add("shared", shared));
    // The one that is listed and that the probe was registered with.
    image& leaving = *which == &first.own() ? first : second;
    image& staying = *which == &first.own() ? second : first;
    CHECK(*marker::leave(leaving.range) == 0);
    CHECK(own.registered_with() == &staying.own());
    CHECK(listed("own") == 1);
    CHECK(listed("shared") == 1);
    staying.hit_own();
    staying.hit_shared(1);
    hit_program(1);
    CHECK(calls == "abb");
    leaving.hit_own(); // its statements are still on
    leaving.hit_shared(1);
    CHECK(calls == "abb");
    CHECK(leaving.own().arm_count() == 0);
    CHECK(staying.own().arm_count() == 1);
    // What the leaving image has is not touched any more.
    new (&leaving) image;
    REQUIRE(marker::unregister_probe(own));
    REQUIRE(marker::unregister_probe(shared));
    CHECK_FALSE(staying.own().is_on());
    CHECK_FALSE(leaving.own().is_on());
    CHECK(*marker::leave(staying.range) == 0);
    CHECK(listed("own") == 0);
    CHECK(listed("shared") == 1);
}

TEST_CASE_FIXTURE(fixture, "the probes of a marker that is gone are unregistered and retired") {
    probe a(note, &letters[0]);
    probe b(note, &letters[1]);
    REQUIRE(marker::join(first.range));
    REQUIRE(add("own", a));
    REQUIRE(add("own", b));
    CHECK(*marker::leave(first.range) == 2);
    first.hit_own();
    CHECK(calls.empty());
    for (probe* one : {&a, &b}) {
        CHECK(one->registered_with() == nullptr);
        expect(marker::unregister_probe(*one), marker_error::not_registered);
        expect(add("shared", *one), marker_error::probe_in_use);
    }
    expect(marker::join(first.range), marker_error::range_in_use);
    REQUIRE(marker::synchronise());
    REQUIRE(marker::join(first.range));
    CHECK_FALSE(first.own().is_on());
    REQUIRE(add("own", a));
    first.hit_own();
    CHECK(calls == "a");
    REQUIRE(marker::unregister_probe(a));
}

TEST_CASE_FIXTURE(fixture, "a hit that is under way when its image leaves is carried to its end") {
    static image* leaving;
    leaving = &first;
    probe one(
        [](const marker::marker& which, void*, const marker::arguments& values) {
            calls += '1';
            CHECK(*marker::leave(leaving->range) == 2);
            CHECK(values.size() == 2);
            CHECK(std::string(which.name()) == "own");
        },
        nullptr);
    probe two(note, &letters[1]);
    REQUIRE(marker::join(first.range));
    REQUIRE(add("own", one));
    REQUIRE(add("own", two));
    first.hit_own();
    CHECK(calls == "1b");
    first.hit_own();
    CHECK(calls == "1b");
}

TEST_CASE_FIXTURE(fixture,
                  "who goes through all markers while tables come and go comes to an end") {
    REQUIRE(marker::join(first.range));
    REQUIRE(marker::join(second.range));
    std::string seen;
    for (const marker::marker& one : marker::all_markers{}) {
        seen += std::string(one.name()) + " ";
        if (std::string(one.name()) == "own") { // standing on it
            CHECK(marker::leave(first.range));
            CHECK(marker::leave(second.range));
        }
    }
    CHECK(seen.find("shared") != std::string::npos);
    CHECK(seen.find("own") != std::string::npos);
    CHECK(listed("own") == 0);
}

TEST_CASE_FIXTURE(fixture, "all images are turned on at one instant, or none") {
    // A patched site for the flag of each, in the fake's text.
    static struct {
        alignas(16) uint8_t code[2][16];
        immediate::site sites[2];
    } text;
    const auto address = [](const void* what) { return reinterpret_cast<uintptr_t>(what); };
    fake::text.place(address(text.code), std::vector<uint8_t>(sizeof text.code, 0x90));
    immediate::site_range ranges[2] = {};
    for (size_t i = 0; i < 2; ++i) {
        const std::vector<uint8_t> nop = {0x0f, 0x1f, 0x44, 0, 0};
        for (size_t at = 0; at < nop.size(); ++at)
            fake::text.write(address(&text.code[i][at]), nop[at]);
        auto& site = text.sites[i];
        auto& flag = (i == 0 ? first : second).data.flags[1];
        const auto distance = [&](uintptr_t to, const int32_t& from) {
            return static_cast<int32_t>(to - address(&from));
        };
        site.code_offset = distance(address(text.code[i]), site.code_offset);
        site.key_offset = distance(address(&flag), site.key_offset);
        site.target_offset = distance(address(&text.code[i][8]), site.target_offset);
        site.size = 5;
        site.kind = immediate::site_kind::branch;
        ranges[i].begin = &site;
        ranges[i].end = &site + 1;
        ranges[i].code = {address(text.code[i]), address(text.code[i] + sizeof text.code[i])};
        ranges[i].data = {address(&flag), address(&flag + 1)};
        REQUIRE(immediate::join(ranges[i]));
    }
    REQUIRE(marker::join(first.range));
    REQUIRE(marker::join(second.range));
    probe a(note, &letters[0]);
    immediate::use_workspace(workspace, 1);
    expect(add("own", a), marker_error::no_room);
    CHECK_FALSE(first.own().is_on());
    CHECK_FALSE(second.own().is_on());
    CHECK(first.own().arm_count() == 0);
    CHECK(fake::text_writes == 0);
    immediate::use_workspace(workspace, 2);
    REQUIRE(add("own", a));
    CHECK(fake::synchronisations == 3); // one batch
    CHECK(fake::text.bytes[0] == 0xe9);
    CHECK(fake::text.bytes[16] == 0xe9);

    // A newcomer that cannot be turned on has not joined.
    REQUIRE(marker::leave(second.range));
    REQUIRE(marker::synchronise());
    REQUIRE(immediate::set(second.data.flags[1], false));
    immediate::use_workspace(workspace, 0);
    expect(marker::join(second.range), marker_error::no_room);
    CHECK_FALSE(second.own().is_on());
    CHECK(second.own().arm_count() == 0);
    expect(marker::leave(second.range), marker_error::not_joined);
    immediate::use_workspace(workspace, 2);
    REQUIRE(marker::join(second.range));
    CHECK(fake::text.bytes[16] == 0xe9);
    REQUIRE(marker::unregister_probe(a));
    CHECK(fake::text.bytes[0] == 0x0f);
    CHECK(fake::text.bytes[16] == 0x0f);
    for (auto& range : ranges)
        REQUIRE(immediate::leave(range));
}

TEST_CASE_FIXTURE(fixture, "where and when") {
    fake::cpu.nmi_in_progress = 1;
    expect(marker::join(first.range), marker_error::in_nmi);
    expect(marker::leave(first.range), marker_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    expect(marker::join(first.range), marker_error::cannot_synchronise);
    fake::can_synchronise = true;
    expect(marker::leave(first.range), marker_error::not_joined);
    CHECK(listed("own") == 0);
    REQUIRE(marker::join(first.range));
    expect(marker::join(first.range), marker_error::range_in_use);
    image copy; // another range for the same memory
    copy.range.begin = first.table;
    copy.range.end = first.table + image::count;
    copy.range.data = first.range.data;
    copy.range.constants = first.range.constants;
    expect(marker::join(copy.range), marker_error::bad_table);
}
