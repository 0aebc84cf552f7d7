// SPDX-License-Identifier: MIT
// Tables of markers that are no good: what the compiler would not make is refused, and nothing has
// been written; random damage is refused or does no harm.
#include "nmisafe/marker/format.hpp"
#include "nmisafe/marker/join_test.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <random>
#include <vector>

using namespace nmisafe;
using marker::argument_kind;
using marker::marker_error;
using marker::test::image;
using fake = nmisafe_platform;

namespace {

alignas(image) unsigned char storage[sizeof(image)];
image* module;

void make() {
    fake::reset();
    module = new (storage) image;
}

std::vector<unsigned char> snapshot() {
    return {storage, storage + sizeof storage};
}

unsigned listed() {
    unsigned count = 0;
    for (const marker::marker& one : marker::all_markers{})
        count += &one >= module->data.markers && &one < module->data.markers + image::count;
    return count;
}

void check_refused(const char* what, marker_error why, const std::function<void()>& damage) {
    CAPTURE(what);
    make();
    damage();
    const auto before = snapshot();
    const auto result = marker::join(module->range);
    REQUIRE_FALSE(result);
    CHECK(result.error() == why);
    CHECK(snapshot() == before);
    CHECK(listed() == 0);
}

void check_bad_table(const char* what, const std::function<void()>& damage) {
    check_refused(what, marker_error::bad_table, damage);
}
void check_bad_marker(const char* what, const std::function<void()>& damage) {
    check_refused(what, marker_error::bad_marker, damage);
}

/// A word of a marker, by its place: its members are private, and const.
enum word { channel, name, format, types, count, flag };

uintptr_t& word_of(size_t which, word what) {
    void* const words = &module->data.markers[which];
    return static_cast<uintptr_t*>(words)[what];
}

uintptr_t end_of_constants() {
    return module->range.constants.end;
}

} // namespace

TEST_CASE("the good table is good, and the words are where this test has them") {
    make();
    const auto& one = module->own();
    CHECK(word_of(1, channel) == reinterpret_cast<uintptr_t>(one.channel()));
    CHECK(word_of(1, format) == reinterpret_cast<uintptr_t>(one.format()));
    CHECK(word_of(1, types) == reinterpret_cast<uintptr_t>(&module->constants.types[1]));
    CHECK((word_of(1, count) & 0xff) == 2);
    CHECK(word_of(1, flag) == reinterpret_cast<uintptr_t>(&module->data.flags[1]));
    CHECK(*marker::join(module->range) == 3);
    CHECK(listed() == 2); // "shared" is a marker of the program too (join_test.cpp)
    REQUIRE(marker::leave(module->range));
    REQUIRE(marker::synchronise());
}

TEST_CASE("tables") {
    const auto move = [](const int32_t* from, unsigned bytes) {
        return reinterpret_cast<const int32_t*>(reinterpret_cast<uintptr_t>(from) + bytes);
    };
    check_bad_table("upside down", [] { std::swap(module->range.begin, module->range.end); });
    check_bad_table("part of an entry", [&] { module->range.end = move(module->table, 5); });
    check_bad_table("not aligned", [&] {
        module->range.begin = move(module->table, 2);
        module->range.end = move(module->table, 6);
    });
    check_bad_table("more than there is room for", [] { module->range.end += 1 << 20; });
    check_bad_table("without data", [] { module->range.data = {}; });
    check_bad_table("data among the constants",
                    [] { module->range.constants.end = module->range.data.end; });
}

TEST_CASE("markers") {
    check_bad_marker("outside of the data", [] { module->range.data.end -= 1; });
    check_bad_marker("flag outside of the data", [] { module->range.data.begin += 1; });
    check_bad_marker("not aligned", [] { module->table[1] += 2; });
    check_bad_marker("far away", [] { module->table[1] = INT32_MAX; });
    check_bad_marker("twice", [] {
        module->table[2] = module->table[1] - static_cast<int32_t>(sizeof(int32_t));
    });
    check_bad_marker("a flag for two", [] { word_of(1, flag) = word_of(0, flag); });
    check_bad_marker("a flag not aligned", [] { word_of(1, flag) += 1; });
    check_bad_marker("no flag", [] { word_of(1, flag) = 0; });
    check_bad_marker("a flag with another value", [] { module->data.flags[2].as_key().bits = 2; });
    // Their words of 0 would do as flags: arm_count_ and the like.
    for (const size_t victim : {size_t{0}, size_t{1}, size_t{2}})
        check_bad_marker("a flag that is a part of a marker", [=] {
            word_of(1, flag) = reinterpret_cast<uintptr_t>(&word_of(victim, flag) + 2);
        });
}

TEST_CASE("strings") {
    for (const word what : {channel, name, format}) {
        check_bad_marker("no string", [=] { word_of(0, what) = 0; });
        check_bad_marker("outside", [=] { word_of(0, what) = end_of_constants(); });
        check_bad_marker("in the data", [=] { word_of(0, what) = module->range.data.begin; });
        check_bad_marker("in no memory at all", [=] { word_of(0, what) = ~uintptr_t{0} - 7; });
    }
    check_bad_marker("without an end", [] {
        auto& types_of_last = module->constants.types;
        std::memset(&types_of_last, 'x', sizeof types_of_last);
        word_of(0, name) = reinterpret_cast<uintptr_t>(&types_of_last);
        module->range.constants.end = reinterpret_cast<uintptr_t>(&types_of_last + 1);
    });
}

TEST_CASE("formats and types") {
    check_bad_marker("no format", [] { module->constants.formats[2][0] = 0; });
    check_bad_marker("a bad conversion", [] { module->constants.formats[0][7] = 'n'; });
    check_bad_marker("a bad conversion and no arguments",
                     [] { std::strcpy(module->constants.formats[2], "%n"); });
    check_bad_marker("fewer conversions", [] { module->constants.formats[0][6] = 'x'; });
    check_bad_marker("more conversions", [] { std::strcpy(module->constants.formats[0], "%u%u"); });
    check_bad_marker("other conversions", [] { module->constants.formats[0][7] = 'x'; });
    check_bad_marker("more types", [] { ++word_of(0, count); });
    check_bad_marker("many types", [] { word_of(0, count) |= 0xff; });
    check_bad_marker("other types",
                     [] { module->constants.types[0].kind = argument_kind::signed_integer; });
    check_bad_marker("types outside", [] { word_of(1, types) = end_of_constants() - 3; });
    check_bad_marker("types that end outside", [] {
        module->range.constants.end = reinterpret_cast<uintptr_t>(&module->constants.types[3]) - 1;
    });
    check_bad_marker("no types", [] { word_of(1, types) = 0; });
}

TEST_CASE("random damage") {
    std::mt19937 random(1);
    const auto below = [&](size_t limit) { return random() % limit; };
    unsigned accepted = 0;
    unsigned refused = 0;
    const auto is_within = [&](const char* text) {
        const auto at = reinterpret_cast<uintptr_t>(text);
        return module->range.constants.holds(at, std::strlen(text) + 1);
    };
    for (unsigned turn = 0; turn < 30000; ++turn) {
        make();
        const size_t damaged = // all but what the loader says
            reinterpret_cast<uintptr_t>(&module->range) - reinterpret_cast<uintptr_t>(storage);
        for (size_t damages = 1 + below(3); damages != 0; --damages) {
            unsigned char& byte = storage[below(damaged)];
            switch (below(3)) {
            case 0:
                byte = static_cast<unsigned char>(random());
                break;
            case 1:
                byte ^= static_cast<unsigned char>(1U << below(8));
                break;
            default:
                byte = static_cast<unsigned char>(byte + (below(2) != 0 ? 8 : -8));
                break;
            }
        }
        const auto before = snapshot();
        if (!marker::join(module->range)) {
            ++refused;
            REQUIRE(snapshot() == before);
            REQUIRE(listed() == 0);
            continue;
        }
        ++accepted;
        // Each can be found, turned on, hit, turned off; and they are still what was checked.
        marker::probe one([](const marker::marker&, void*, const marker::arguments&) {}, nullptr);
        for (const marker::marker& each : marker::all_markers{}) {
            if (&each < module->data.markers || &each >= module->data.markers + image::count)
                continue;
            if (marker::register_probe(each.channel(), each.name(), each.format(), one)) {
                const marker::internal::argument_block<0> none(each);
                REQUIRE(marker::hits::call(each, none.head));
                REQUIRE(each.is_on());
                REQUIRE(marker::unregister_probe(one));
                REQUIRE(marker::synchronise());
            }
            REQUIRE(is_within(each.channel()));
            REQUIRE(is_within(each.name()));
            REQUIRE(is_within(each.format()));
        }
        REQUIRE(marker::leave(module->range));
        REQUIRE(marker::synchronise());
    }
    CHECK(accepted > 100); // another letter in a name, say
    CHECK(refused > 1000);
    MESSAGE("accepted " << accepted << ", refused " << refused);
}
