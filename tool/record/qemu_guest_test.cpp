// SPDX-License-Identifier: MIT
#include "tool/record/qemu_guest.hpp"

#include <doctest/doctest.h>
#include <stdexcept>

using namespace nmisafe::tool;

TEST_CASE("what QEMU's arguments say of the machine") {
    const auto size = [](const char* text) { return find_machine({"-m", text}).ram_size; };
    CHECK(size("64") == std::uint64_t{64} << 20);
    CHECK(size("2G") == std::uint64_t{2} << 30);
    CHECK(size("size=1g,slots=2,maxmem=4G") == std::uint64_t{1} << 30);
    CHECK(size("slots=2,size=512M") == std::uint64_t{512} << 20);
    CHECK_THROWS_AS(size("0"), std::runtime_error);
    CHECK_THROWS_AS(size("12Q"), std::runtime_error);
    CHECK_THROWS_AS(size("99999999999T"), std::runtime_error);
    CHECK(find_machine({}).ram_size == std::uint64_t{128} << 20);
    CHECK(find_machine({"-M", "q35"}).type == "q35");
    CHECK(find_machine({"--machine", "accel=tcg,type=microvm"}).type == "microvm");
}

TEST_CASE("only RAM that was written to is looked at") {
    const shared_ram ram(std::uint64_t{16} << 20, std::uint64_t{16} << 20);
    CHECK(ram.touched().empty());
    const auto* const page = ram.memory().find(5 << 20, 1);
    REQUIRE(page != nullptr);
    *const_cast<std::uint8_t*>(page) = 1;
    REQUIRE(!ram.touched().empty());
    const memory_piece found = ram.touched().front();
    CHECK(found.physical <= 5 << 20);
    CHECK(found.physical + found.bytes.size() > 5 << 20);
    CHECK(found.bytes.size() < 4 << 20);
}
