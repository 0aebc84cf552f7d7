// SPDX-License-Identifier: MIT
// Conversions against arithmetic that has room for all digits.
#include "nmisafe/clock/conversion.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>

using namespace nmisafe;
using clock::rate_of;
using clock::scale;

namespace {

using wide = std::array<uint32_t, 5>; // 160 bits, the lowest first

wide product(uint64_t a, uint64_t b) {
    wide result{};
    const uint32_t left[] = {static_cast<uint32_t>(a), static_cast<uint32_t>(a >> 32)};
    const uint32_t right[] = {static_cast<uint32_t>(b), static_cast<uint32_t>(b >> 32)};
    for (unsigned i = 0; i < 2; ++i) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < 2; ++j) {
            carry += uint64_t{left[i]} * right[j] + result[i + j];
            result[i + j] = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
        result[i + 2] = static_cast<uint32_t>(carry);
    }
    return result;
}

uint64_t middle(const wide& digits) { // of / 2^32
    return uint64_t{digits[2]} << 32 | digits[1];
}

bool less_or_equal(const wide& a, const wide& b) {
    for (size_t i = a.size(); i-- != 0;) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return true;
}

uint64_t odd_sized(std::mt19937_64& random) { // as often short as long
    return random() >> random() % 64;
}

} // namespace

TEST_CASE("scale is the product's digits above the lowest 32") {
    std::mt19937_64 random(1);
    const uint64_t edges[] = {0, 1, 0xffff'ffff, 0x1'0000'0000, 0x1'0000'0001, ~uint64_t{0}};
    for (const uint64_t a : edges) {
        for (const uint64_t b : edges)
            CHECK(scale(a, b) == middle(product(a, b)));
    }
    for (unsigned i = 0; i < 100'000; ++i) {
        const uint64_t a = odd_sized(random);
        const uint64_t b = odd_sized(random);
        REQUIRE(scale(a, b) == middle(product(a, b)));
    }
    CHECK(scale(12345, clock::rate_of_one) == 12345);
}

TEST_CASE("rate_of is the quotient, or says that there is no room for it") {
    std::mt19937_64 random(2);
    CHECK(rate_of(1, 1) == clock::rate_of_one);
    CHECK(rate_of(5, 0) == ~uint64_t{0});
    CHECK(rate_of(0, 5) == 0);
    CHECK(rate_of(~uint64_t{0}, ~uint64_t{0}) == clock::rate_of_one);
    unsigned full = 0;
    for (unsigned i = 0; i < 100'000; ++i) {
        const uint64_t time = odd_sized(random);
        const uint64_t ticks = odd_sized(random) | 1;
        const uint64_t each = rate_of(time, ticks);
        const wide shifted = product(time, clock::rate_of_one);
        REQUIRE(less_or_equal(product(each, ticks), shifted));
        if (each == ~uint64_t{0})
            ++full;
        else
            REQUIRE_FALSE(less_or_equal(product(each + 1, ticks), shifted));
    }
    CHECK(full > 1000);
    CHECK(full < 50'000);
}

TEST_CASE("a frequency is measured to one part in a thousand million") {
    // 2.1 GHz against nanoseconds, for 100 ms
    const uint64_t measured = clock::frequency_of(210'000'000, 100'000'000, 1'000'000'000);
    CHECK(measured >= 2'099'999'998);
    CHECK(measured <= 2'100'000'000);
}

TEST_CASE("a line continues over the ends of its halves") {
    const clock::conversion line{0xffff'fff0, 0xffff'ffff'ffff'fff8, clock::rate_of_one / 2};
    CHECK(line.at(0xffff'fff0) == 0xffff'ffff'ffff'fff8);
    CHECK(line.at(0x1'0000'0000) == 0); // modulo 2^64
    CHECK(line.at(0x1'0000'0010) == 8);
    CHECK(line.at(0xffff'ffef) == line.time); // a counter from before
}
