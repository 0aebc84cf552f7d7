// SPDX-License-Identifier: MIT
// Names from the object file of module_test.cpp, as of a module that was loaded somewhere.
#include "tool/symbols/symbols.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace nmisafe::tool;

namespace {

trace_description with_images() {
    const std::string file = std::filesystem::path(NMISAFE_TEST_MODULE).filename().string();
    trace_description about;
    about.images = {{file, ".text", 0xf8000000, 0x100, 0, 0, 0},
                    {file, ".text.elsewhere", 0xf8000200, 0x10, 0, 100, 200},
                    {"gone", ".text", 0xf8000200, 0x10, 0, 300, 0},
                    {"kernel", "", 0xc0000000, 0x100, 0, 0, 0}};
    return about;
}

const std::filesystem::path folder = std::filesystem::path(NMISAFE_TEST_MODULE).parent_path();

} // namespace

TEST_CASE("a module's sections, wherever they were loaded") {
    const trace_description about = with_images();
    symbols names(about, {{}, {folder}});
    CHECK(names.name(0xf8000002, 5)
              .starts_with("nmisafe::tool::test::first_of_module(int)+0x2 at module_test.cpp:"));
    CHECK(
        names.name(0xf8000201, 150)
            .starts_with("nmisafe::tool::test::elsewhere_in_module(int)+0x1 at module_test.cpp:"));
    // Behind a call at the function's very beginning, which stands on another line than what follows, or is all of it.
    CHECK(names.name(0xf8000201, 150, symbols::role::caller) ==
          fmt::format("nmisafe::tool::test::elsewhere_in_module(int)+0x1 at module_test.cpp:{}",
                      names.find(0xf8000200, 150).line));
    CHECK(names.name(0xf8000200, 150, symbols::role::caller) == "0xf8000200");
    const place_in_code& found = names.find(0xf8000000, 5);
    CHECK(found.file.ends_with("tool/symbols/module_test.cpp"));
    CHECK(found.line >= 5);
    CHECK(found.line <= 7);
    CHECK(names.missing().empty());
}

TEST_CASE("an address is the image's that was there then") {
    const trace_description about = with_images();
    symbols names(about, {{}, {folder}});
    CHECK(names.name(0xf8000201, 350) == "0xf8000201");
    REQUIRE(names.missing().size() == 1);
    CHECK(names.missing()[0].find("gone") != std::string::npos);
    CHECK(names.name(0xf8000201, 150) != "0xf8000201");
}

TEST_CASE("what is in no image has no name, and what has no file is said once") {
    const trace_description about = with_images();
    symbols names(about, {"/no/such/kernel", {folder}});
    CHECK(!names.is_code(0x1000, 5));
    CHECK(names.is_code(0xc00000ff, 5));
    CHECK(!names.is_code(0xc0000100, 5));
    CHECK(names.name(0x1000, 5) == "0x1000");
    CHECK(names.missing().empty());
    for (unsigned i = 0; i < 3; ++i) {
        CHECK(names.name(0xc0000010, 5) == "0xc0000010");
    }
    CHECK(names.missing().size() == 1);
}

TEST_CASE("a file that is no ELF file") {
    const trace_description about = with_images();
    symbols names(about, {"/etc/passwd", {}});
    CHECK(names.name(0xc0000010, 5) == "0xc0000010");
    CHECK(names.missing().size() == 1);
}
