// SPDX-License-Identifier: MIT
// The text; what readers make of it is in tests/ctf/.
#include "nmisafe/ctf/metadata.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace nmisafe;

namespace {

constexpr ctf::field fields[] = {{"length", ctf::kind::u32},
                                 {"address", ctf::kind::u64, ctf::base::hexadecimal},
                                 {"change", ctf::kind::i16},
                                 {"name", ctf::kind::string},
                                 {"chain", ctf::kind::addresses}};
constexpr ctf::event packet{40, "net_packet", fields};
constexpr ctf::event empty{2, "empty"};
constexpr const ctf::event* events[] = {&packet, &empty};
constexpr ctf::trace about{.uuid = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32,
                                    0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe},
                           .stream_id = 7,
                           .frequency = 2'096'028'000,
                           .clock_offset = 18'446'744'073'709'551'615u,
                           .tracer_name = "nmisafe",
                           .domain = "kernel",
                           .has_context = true};

std::string metadata(size_t size) {
    static size_t whole; // as the first one says it, which has room
    std::string result(size, 'X');
    ctf::text to(result.data(), size);
    const bool is_complete = ctf::write_metadata(to, about, events, 2);
    if (whole == 0)
        whole = to.length();
    CHECK(to.length() == whole);
    CHECK(is_complete == (whole <= size));
    if (is_complete)
        result.resize(to.length());
    return result;
}

std::string number(uint64_t value) {
    char digits[24];
    ctf::text to(digits, sizeof digits);
    to << value;
    return {digits, to.length()};
}

} // namespace

static_assert(ctf::is_identifier("_a9Z"));
static_assert(!ctf::is_identifier("") && !ctf::is_identifier("9a") && !ctf::is_identifier("a-b"));
static_assert(ctf::size_of(ctf::kind::i32) == 4 && ctf::size_of(ctf::kind::string) == 0);
static_assert(ctf::is_signed(ctf::kind::i8) && !ctf::is_signed(ctf::kind::u64));

TEST_CASE("numbers are written in full") {
    for (const uint64_t value :
         {uint64_t{0}, uint64_t{1}, uint64_t{9}, uint64_t{10}, uint64_t{2'096'028'000},
          uint64_t{1'000'000'000'000}, ~uint64_t{0}})
        CHECK(number(value) == std::to_string(value));
}

TEST_CASE("metadata begins as readers look for it, and has each event") {
    const std::string all = metadata(8192);
    const auto has = [&](const char* what) { return all.find(what) != std::string::npos; };
    CHECK(all.rfind("/* CTF 1.8 */", 0) == 0);
    CHECK(has("uuid = \"01234567-89ab-cdef-1032-547698badcfe\";"));
    CHECK(has("freq = 2096028000;"));
    CHECK(has("offset = 18446744073709551615;"));
    CHECK(has("name = \"net_packet\";\n    id = 40;\n    stream_id = 7;"));
    CHECK(has("integer { size = 32; align = 8; signed = false; base = 10; } _length;"));
    CHECK(has("integer { size = 64; align = 8; signed = false; base = 16; } _address;"));
    CHECK(has("integer { size = 16; align = 8; signed = true; base = 10; } _change;"));
    CHECK(has("string { encoding = UTF8; } _name;"));
    CHECK(has(
        "u8 __chain_length;\n        integer { size = 64; align = 8; signed = false; base = 16; }"
        " _chain[ __chain_length ];"));
    CHECK(has("name = \"empty\""));
    CHECK(has("event.context := struct {\n        enum : u8 { thread = 0, softirq = 1, "));
}

TEST_CASE("what has no room is left out, and the length says how much it takes") {
    const std::string all = metadata(8192);
    CHECK(metadata(all.size()) == all);
    const std::string cut = metadata(all.size() - 1);
    CHECK(cut == all.substr(0, all.size() - 1));
    CHECK(metadata(0).empty());
}
