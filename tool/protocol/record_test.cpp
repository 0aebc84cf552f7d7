// SPDX-License-Identifier: MIT
#include "tool/protocol/record.hpp"

#include <doctest/doctest.h>

namespace nmisafe::tool {

TEST_CASE("a record is a kind and fields, quoted or not") {
    std::string error;
    const auto parsed = parse_record(R"(@fail what="two words" at=0x12  empty="")", error);
    REQUIRE(parsed);
    CHECK(parsed->kind == "fail");
    REQUIRE(parsed->fields.size() == 3);
    CHECK(*parsed->find("what") == "two words");
    CHECK(*parsed->find("at") == "0x12");
    CHECK(parsed->find("empty")->empty());
    CHECK(parsed->find("wha") == nullptr);
    CHECK(parse_record("@done", error)->fields.empty());
}

TEST_CASE("a malformed record says what is wrong") {
    const std::pair<const char*, const char*> cases[] = {
        {"@", "no kind after @"},
        {"@ row", "no kind after @"},
        {"@Row", "no kind after @"},
        {"@row=1", "no kind after @"},
        {"@row key", "not key=value"},
        {"@row =1", "not key=value"},
        {"@row Key=1", "not key=value"},
        {"@row key=", "a key has no value"},
        {"@row key= other=1", "a key has no value"},
        {"@row key=a\"b", "a quote inside a value"},
        {"@row key=\"open", "a quote is not closed"},
        {"@row key=\"a\"b", "no space after a quoted value"},
        {"@row a=1 a=2", "key a twice"},
        {"@row a=1\x01", "a character that does not print"},
        {"@row a=\xc3\xa4", "a character that does not print"},
    };
    for (const auto& tried : cases) {
        std::string error;
        CAPTURE(tried.first);
        CHECK_FALSE(parse_record(tried.first, error));
        CHECK(error == tried.second);
    }
}

TEST_CASE("a number is decimal or hexadecimal, whole, and fits in 64 bits") {
    CHECK(parse_number("0") == 0u);
    CHECK(parse_number("18446744073709551615") == UINT64_MAX);
    CHECK(parse_number("0xffffffff80001000") == 0xffffffff80001000u);
    for (const char* text : {"", "0x", "-1", "+1", " 1", "1 ", "12a", "0xg", "1.5",
                             "18446744073709551616", "0x10000000000000000", "0x-1"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_number(text));
    }
}

TEST_CASE("printable text is short and has no control characters") {
    CHECK(printable("plain text") == "plain text");
    CHECK(printable("\x1b[2J\n") == "\\x1b[2J\\x0a");
    CHECK(printable("\xff") == "\\xff");
    CHECK(printable("abcdef", 3) == "abc...");
}

} // namespace nmisafe::tool
