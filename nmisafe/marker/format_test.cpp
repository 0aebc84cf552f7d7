// SPDX-License-Identifier: MIT
// What formats say, and what arguments fit them. That statements ask is tested in
// tests/compile_fail/marker.cpp.
#include "nmisafe/marker/format.hpp"

#include <doctest/doctest.h>
#include <limits>
#include <string>

using namespace nmisafe::marker;

namespace {

enum class scoped : uint16_t { one = 1 };
enum unscoped { two = 2 };

constexpr argument_type u32{argument_kind::unsigned_integer, 4, 10};
constexpr argument_type d32{argument_kind::signed_integer, 4, 10};
constexpr argument_type u64{argument_kind::unsigned_integer, 8, 10};
constexpr argument_type pointer{argument_kind::pointer, sizeof(void*), 16};
constexpr argument_type string{argument_kind::string, sizeof(void*), 0};

argument_type only_type(const std::string& format) {
    const parsed_format parsed = parse_format(format.c_str());
    CAPTURE(format);
    REQUIRE(parsed.problem == format_problem::none);
    REQUIRE(parsed.count == 1);
    return parsed.types[0];
}

/// What a probe reads of a value that went through a conversion.
template <typename T>
argument through(const char* format, T value) {
    const argument_type type = only_type(format);
    REQUIRE(fits<T>(type));
    return {type, encode(value, type)};
}

} // namespace

TEST_CASE("every conversion, alone and in a text") {
    const struct {
        const char* letter;
        argument_kind kind;
        uint8_t base;
    } integers[] = {
        {"d", argument_kind::signed_integer, 10},   {"i", argument_kind::signed_integer, 10},
        {"u", argument_kind::unsigned_integer, 10}, {"x", argument_kind::unsigned_integer, 16},
        {"X", argument_kind::unsigned_integer, 16}, {"o", argument_kind::unsigned_integer, 8},
    };
    const struct {
        const char* modifier;
        uint8_t size;
    } lengths[] = {
        {"", 4},
        {"hh", 1},
        {"h", 2},
        {"l", sizeof(long)},
        {"ll", 8},
        {"j", 8},
        {"z", sizeof(size_t)},
        {"t", sizeof(ptrdiff_t)},
    };
    for (const auto& integer : integers)
        for (const auto& length : lengths)
            for (const char* flags : {"%", "%#08", "%-+ 12.3", "%.", "100%% %"})
                CHECK(only_type(std::string("a ") + flags + length.modifier + integer.letter +
                                " z") == argument_type{integer.kind, length.size, integer.base});
    CHECK(only_type("%c") == argument_type{argument_kind::character, 1, 0});
    CHECK(only_type("%p") == pointer);
    CHECK(only_type("%-20s") == string);
}

TEST_CASE("a format with several conversions, and with none") {
    constexpr parsed_format parsed = parse_format("len %u flags %x%s 5%%");
    static_assert(parsed.problem == format_problem::none && parsed.count == 3);
    static_assert(parsed.types[0] == u32 && parsed.types[2] == string);
    static_assert(parse_format(" ").count == 0 && parse_format("%%").count == 0);
}

TEST_CASE("what is no conversion here") {
    for (const char* bad : {"%", "%f", "%Lf", "%n", "%*d", "%.*s", "%lc", "%ls", "%hp", "%lll",
                            "%l", "%hhhu", "%5", "%q", "%m", "100% u%", "%u %"})
        CHECK_MESSAGE(parse_format(bad).problem == format_problem::bad_conversion, bad);
    std::string many;
    for (size_t i = 0; i < most_arguments; ++i)
        many += "%u";
    CHECK(parse_format(many.c_str()).count == most_arguments);
    many += "%u";
    CHECK(parse_format(many.c_str()).problem == format_problem::too_many_arguments);
}

TEST_CASE("integers fit by their size after promotion") {
    CHECK(fits<uint32_t>(u32));
    CHECK(fits<int>(u32));
    CHECK(fits<char>(u32));
    CHECK(fits<bool>(d32));
    CHECK(fits<scoped>(u32));
    CHECK(fits<unscoped>(d32));
    CHECK(fits<uint64_t>(u64));
    CHECK_FALSE(fits<uint64_t>(u32));
    CHECK_FALSE(fits<uint32_t>(u64));
    CHECK_FALSE(fits<float>(u32));
    CHECK_FALSE(fits<double>(u64));
    CHECK_FALSE(fits<const char*>(u32));
    CHECK_FALSE(fits<void*>(u64));
    CHECK_FALSE(fits<std::nullptr_t>(u32));
    constexpr argument_type u16{argument_kind::unsigned_integer, 2, 10};
    CHECK(fits<uint16_t>(u16));
    CHECK(fits<int>(u16)); // a short is an int by the time printf sees it
    CHECK_FALSE(fits<uint64_t>(u16));
    CHECK(fits<char>({argument_kind::character, 1, 0}));
    CHECK_FALSE(fits<uint64_t>({argument_kind::character, 1, 0}));
}

TEST_CASE("pointers and strings") {
    CHECK(fits<void*>(pointer));
    CHECK(fits<const volatile int*>(pointer));
    CHECK(fits<void (*)()>(pointer));
    CHECK(fits<std::nullptr_t>(pointer));
    CHECK_FALSE(fits<uintptr_t>(pointer));
    CHECK_FALSE(fits<int>(pointer));
    CHECK(fits<const char*>(string));
    CHECK(fits<char*>(string));
    CHECK_FALSE(fits<const unsigned char*>(string));
    CHECK_FALSE(fits<volatile char*>(string));
    CHECK_FALSE(fits<void*>(string));
    CHECK_FALSE(fits<std::nullptr_t>(string));
}

TEST_CASE("a value comes out as it went in") {
    CHECK(through("%d", -1).as_signed() == -1);
    CHECK(through("%d", std::numeric_limits<int>::min()).as_signed() ==
          std::numeric_limits<int>::min());
    CHECK(through("%d", int8_t{-128}).as_signed() == -128);
    CHECK(through("%u", ~0U).as_unsigned() == 0xffffffff);
    CHECK(through("%u", -1).as_unsigned() == 0xffffffff);
    CHECK(through("%hhd", 0x1ff).as_signed() == -1);
    CHECK(through("%hhd", int8_t{127}).as_signed() == 127);
    CHECK(through("%hx", 0x12345678).as_unsigned() == 0x5678);
    CHECK(through("%llx", ~uint64_t{0}).as_unsigned() == ~uint64_t{0});
    CHECK(through("%lld", std::numeric_limits<int64_t>::min()).as_signed() ==
          std::numeric_limits<int64_t>::min());
    CHECK(through("%c", 'x').as_unsigned() == 'x');
    CHECK(through("%c", '\xff').as_unsigned() == 0xff);
    CHECK(through("%u", scoped::one).as_unsigned() == 1);
    CHECK(through("%d", true).as_signed() == 1);
    int object = 0;
    CHECK(through("%p", &object).as_pointer() == &object);
    CHECK(through("%p", nullptr).as_pointer() == nullptr);
    const char* text = "text";
    CHECK(through("%s", text).as_string() == text);
}
