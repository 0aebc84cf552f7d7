// SPDX-License-Identifier: MIT
// What leads into an image that leaves, and what does not, on the fake platform.
#include "nmisafe/marker/two_images_test.hpp"

#include <tuple>

using namespace nmisafe;
using namespace marker::test;
using marker::marker_error;
using marker::probe;
using fake = nmisafe_platform;

TEST_CASE_FIXTURE(two_images,
                  "what leads into an image that leaves is unregistered, whatever it is with") {
    // An image of nothing else: no marker, and memory for one of each.
    alignas(probe) static char data[sizeof(probe)];
    static char constants[8];
    marker::marker_range leaving{};
    leaving.data = {image::address_of(data), image::address_of(data + sizeof data)};
    leaving.constants = {image::address_of(constants), image::address_of(constants + 8)};
    leaving.code = {reinterpret_cast<uintptr_t>(&note), reinterpret_cast<uintptr_t>(&note) + 1};
    const auto other = [](const marker::marker&, void* private_data, const marker::arguments&) {
        calls += private_data == constants ? '?' : *static_cast<const char*>(private_data);
    };

    probe& object = *new (data) probe(other, &letters[0]);
    probe function(note, &letters[1]);
    probe argument(other, constants);
    probe stays(other, &letters[3]);
    REQUIRE(marker::join(first.range));
    REQUIRE(marker::join(second.range));
    REQUIRE(marker::join(leaving));
    for (probe* one : {&object, &function, &stays, &argument})
        REQUIRE(add("shared", *one));
    first.hit_shared(1);
    CHECK(calls == "abd?");
    CHECK(*marker::leave(leaving) == 3);
    calls.clear();
    first.hit_shared(1);
    second.hit_shared(1);
    CHECK(calls == "dd");
    CHECK(first.shared().arm_count() == 1);
    for (probe* one : {&object, &function, &argument}) {
        CHECK(one->registered_with() == nullptr);
        CHECK(add("shared", *one).error() == marker_error::probe_in_use); // until nobody is in it
    }
    REQUIRE(marker::synchronise());

    // Also the last one, and where the marker can be turned off only later.
    REQUIRE(marker::unregister_probe(stays));
    REQUIRE(marker::join(leaving));
    REQUIRE(add("own", function));
    fake::can_synchronise = false;
    CHECK(*marker::leave(leaving) == 1);
    CHECK(first.own().is_on());
    CHECK(first.own().arm_count() == 0);
    calls.clear();
    first.hit_own();
    CHECK(calls.empty());
    fake::can_synchronise = true;
    CHECK(marker::unregister_probe(stays).error() == marker_error::not_registered);
    CHECK_FALSE(first.own().is_on());
}

TEST_CASE_FIXTURE(two_images, "where an image begins and ends, and a probe of its own marker") {
    REQUIRE(marker::join(second.range));
    marker::marker_range leaving{};
    probe one(note, &letters[1]);
    REQUIRE(add("own", one));
    const uintptr_t at = image::address_of(&letters[1]);
    for (const auto& [begin, end, evicted] :
         {std::tuple{at - 1, at, 0U}, {at + 1, at + 2, 0U}, {at, at, 0U}, {at, at + 1, 1U}}) {
        leaving = {};
        leaving.data = {begin, end};
        REQUIRE(marker::join(leaving));
        CHECK(*marker::leave(leaving) == evicted);
        REQUIRE(marker::synchronise());
    }
    // Counted once: its marker goes too.
    first.range.code = {reinterpret_cast<uintptr_t>(&note), reinterpret_cast<uintptr_t>(&note) + 1};
    REQUIRE(marker::leave(second.range));
    REQUIRE(marker::synchronise());
    REQUIRE(marker::join(first.range));
    REQUIRE(add("own", one));
    CHECK(*marker::leave(first.range) == 1);
}
