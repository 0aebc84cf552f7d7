// SPDX-License-Identifier: MIT
#include "tool/protocol/console.hpp"

#include <doctest/doctest.h>

namespace nmisafe::tool {

namespace {

const std::string hello = "@hello arch=x86_64 experiment=e policy=far without=none\n";
const std::string row = "@row path=p boundaries=1 nmis_raised=2 nmis_handled=3 nested=4 lost=5 "
                        "corrupted=6 unsafe_irets=7 failures=8 stack_growth=0x10\n";

console_content read(std::string_view text) {
    console_reader reader;
    reader.feed(text);
    reader.finish();
    return reader.content();
}

} // namespace

TEST_CASE("a whole console") {
    const console_content content =
        read("booting\n" + hello + "@progress done=1 total=4\r\n" + row +
             "@fail what=\"a b\" at=7\n@text begin=0x10 end=0x20\n"
             "@window path=p begin=0x11 end=0x13\n@measure name=nmi-entry from=1 to=2\n"
             "@measure name=patch from=3 to=4 items=100\n"
             "@rips path=p list=0x11,0x12\n@rips path=p list=0x12\nbye\n@done\n");
    CHECK_FALSE(content.error);
    REQUIRE(content.hello);
    CHECK(content.hello->arch == "x86_64");
    CHECK(content.hello->without == "none");
    CHECK(content.progress_done == 1);
    CHECK(content.progress_total == 4);
    REQUIRE(content.rows.size() == 1);
    CHECK(content.rows[0].path == "p");
    CHECK(content.rows[0].number("failures") == 8u);
    CHECK(content.rows[0].number("stack_growth") == 16u);
    CHECK_FALSE(content.rows[0].number("missing"));
    CHECK(content.failures == std::vector<std::string>{"a b at=7"});
    CHECK(content.text.back().end == 0x20);
    CHECK(content.windows.at("p").begin == 0x11);
    CHECK(content.measures.at("nmi-entry").range.end == 2);
    CHECK(content.measures.at("nmi-entry").items == 1);
    CHECK(content.measures.at("patch").items == 100);
    CHECK(content.rips.at("p") == std::set<std::uint64_t>{0x11, 0x12});
    CHECK(content.last_text == "bye");
    CHECK(content.done);
    CHECK_FALSE(content.empty);
}

TEST_CASE("bytes may come cut anywhere") {
    const std::string text = hello + row + "@done";
    console_reader reader;
    for (char c : text) {
        reader.feed(std::string_view(&c, 1));
    }
    CHECK_FALSE(reader.content().done); // its line may go on
    reader.finish();
    CHECK(reader.content().done);
    CHECK(reader.content().rows.size() == 1);
    CHECK_FALSE(reader.content().error);
}

TEST_CASE("nothing and garbage") {
    CHECK(read("").empty);
    const console_content garbage = read(std::string("\0\xff#\n\n~~", 7));
    CHECK_FALSE(garbage.empty);
    CHECK_FALSE(garbage.hello);
    CHECK(garbage.last_text == "~~");
}

TEST_CASE("a panic may come before hello, and the first one counts") {
    const console_content content = read("@panic what=\"double fault\" rip=0x1\n"
                                         "@panic what=\"another\"\n");
    CHECK(content.panic == "double fault rip=0x1");
    CHECK_FALSE(content.error);
}

TEST_CASE("the first break of the protocol is kept with its line") {
    const std::pair<std::string, const char*> cases[] = {
        {"@done\n", "the first record is not @hello: \"@done\""},
        {hello + hello, "a second @hello"},
        {"@hello arch=x86_64 policy=far without=none\n", "experiment is missing"},
        {hello + "@row nested=0\n", "boundaries is missing"},
        {hello + "@row nested=none\n@bad\n", "nested is not a number: \"@row nested=none\""},
        {hello + row + row, "a second @row of this path"},
        {hello + "@progress done=1\n", "total is missing"},
        {hello + "@window path=p begin=1 end=x\n", "end is not a number"},
        {hello + "@window path=p begin=1 end=2\n@window path=p begin=1 end=2\n",
         "a second @window of this path"},
        {hello + "@measure name=m from=1 to=2 items=0\n", "items is 0"},
        {hello + "@measure name=m from=1 to=2\n@measure name=m from=1 to=2\n",
         "a second @measure of this name"},
        {hello + "@rips path=p list=1,,2\n", "list has an entry that is not a number"},
        {hello + "@rips path=p list=1,\n", "list has an entry that is not a number"},
        {hello + "@text begin=1\n", "end is missing"},
        {hello + "@fail at=1\n", "what is missing"},
        {hello + "@other\n", "unknown record: \"@other\""},
        {hello + "@done\n@progress done=1 total=1\n", "a record after @done"},
        {hello + "@\n", "no kind after @: \"@\""},
    };
    for (const auto& tried : cases) {
        CAPTURE(tried.first);
        const console_content content = read(tried.first);
        REQUIRE(content.error);
        CHECK(content.error->starts_with(tried.second));
    }
}

} // namespace nmisafe::tool
