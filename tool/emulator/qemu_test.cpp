// SPDX-License-Identifier: MIT
#include "tool/emulator/qemu.hpp"

#include <doctest/doctest.h>

namespace nmisafe::tool {

TEST_CASE("what a QEMU says of itself") {
    const auto debian_12 =
        identify_qemu("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright\n");
    REQUIRE(debian_12);
    CHECK(debian_12->version == "qemu 7.2.22");
    CHECK(debian_12->logged_accelerator == "tcg");
    CHECK(debian_12->logged_argument == "-singlestep");

    const auto debian_13 = identify_qemu("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds)\n");
    REQUIRE(debian_13);
    CHECK(debian_13->version == "qemu 10.0.13");
    CHECK(debian_13->logged_accelerator == "tcg,one-insn-per-tb=on");
    CHECK(debian_13->logged_argument == "");
}

TEST_CASE("where one version ends and the next begins") {
    for (const char* version : {"7.2.0", "8.0.5"}) {
        CAPTURE(version);
        const auto found = identify_qemu(std::string("QEMU emulator version ") + version);
        REQUIRE(found);
        CHECK(found->logged_argument == "-singlestep");
    }
    for (const char* version : {"8.1.0", "8.2.2", "9.0.0", "10.0", "11.0.50"}) {
        CAPTURE(version);
        const auto found = identify_qemu(std::string("QEMU emulator version ") + version);
        REQUIRE(found);
        CHECK(found->logged_argument == "");
    }
}

TEST_CASE("what is no QEMU") {
    for (const char* text :
         {"", "some other program 1.0", "QEMU emulator version ", "QEMU emulator version x.y",
          "QEMU emulator version 10", "QEMU emulator version 10.", "qemu-img version 7.2.22"}) {
        CAPTURE(text);
        CHECK_FALSE(identify_qemu(text));
    }
}

} // namespace nmisafe::tool
