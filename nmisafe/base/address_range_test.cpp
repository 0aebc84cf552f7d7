// SPDX-License-Identifier: MIT
#include "nmisafe/base/address_range.hpp"

#include <doctest/doctest.h>

using nmisafe::base::address_range;

TEST_CASE("a range holds what begins and ends in it") {
    constexpr address_range range{0x1000, 0x2000};
    CHECK(range.holds(0x1000, 0x1000));
    CHECK(range.holds(0x1fff, 1));
    CHECK(range.holds(0x2000, 0));
    CHECK_FALSE(range.holds(0x1fff, 2));
    CHECK_FALSE(range.holds(0xfff, 2));
    CHECK_FALSE(range.holds(0x2001, 0));
    CHECK_FALSE(range.holds(0x1001, 0x1000));
}

TEST_CASE("no address and no size wraps around") {
    constexpr uintptr_t last = ~uintptr_t{0};
    constexpr address_range range{0x1000, 0x2000};
    CHECK_FALSE(range.holds(0x1800, last));
    CHECK_FALSE(range.holds(last, 0x1801));
    CHECK_FALSE(range.holds(last - 1, 1));
    CHECK(address_range{last - 8, last}.holds(last - 8, 8));
    CHECK_FALSE(address_range{last - 8, last}.holds(last - 8, 16));
    CHECK_FALSE(address_range{0x2000, 0x1000}.holds(0x1800, 0));
    CHECK_FALSE(address_range{}.holds(0, 1));
}

TEST_CASE("ranges that share a byte") {
    constexpr address_range range{0x1000, 0x2000};
    CHECK(range.overlaps({0x1fff, 0x3000}));
    CHECK(range.overlaps({0, 0x1001}));
    CHECK(range.overlaps({0x1800, 0x1801}));
    CHECK(range.overlaps({0, ~uintptr_t{0}}));
    CHECK_FALSE(range.overlaps({0x2000, 0x3000}));
    CHECK_FALSE(range.overlaps({0, 0x1000}));
    CHECK_FALSE(range.overlaps({0x1800, 0x1800})); // empty
    CHECK_FALSE(address_range{0x2000, 0x1000}.overlaps({0x1800, 0x1900}));
}
