// SPDX-License-Identifier: MIT
// expected: both sides, at run time and in constant expressions, where reading the absent side is a
// compile error (tests/compile_fail/expected.cpp).
#include "nmisafe/base/expected.hpp"

#include <csignal>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using nmisafe::base::expected;
using nmisafe::base::unexpected;

namespace {

enum class reason : uint8_t { too_small = 1, too_large = 2 };

struct pair {
    int first;
    int second;
};

constexpr expected<uint32_t, reason> half(uint32_t even) {
    if (even < 2)
        return unexpected(reason::too_small);
    if (even > 100)
        return unexpected(reason::too_large);
    return even / 2;
}

static_assert(*half(84) == 42);
static_assert(half(0).error() == reason::too_small);
static_assert(half(200).value_or(7) == 7 && half(8).value_or(7) == 4);
static_assert(std::is_trivially_copyable_v<expected<uint32_t, reason>>);

/// The signal that ends `f` in a child process, 0 if none does.
template <typename F>
int signal_of(F f) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // doctest's own handlers would turn the signal into a report and an ordinary exit.
        for (int number : {SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV})
            std::signal(number, SIG_DFL);
        f();
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

} // namespace

TEST_CASE("a value") {
    const expected<uint32_t, reason> result = half(84);
    CHECK(result.has_value());
    CHECK(static_cast<bool>(result));
    CHECK(*result == 42);
}

TEST_CASE("an error") {
    const expected<uint32_t, reason> result = half(101);
    CHECK_FALSE(result.has_value());
    CHECK_FALSE(static_cast<bool>(result));
    CHECK(result.error() == reason::too_large);
}

TEST_CASE("a value and an error of the same type stay apart") {
    const expected<int, int> value = 3;
    const expected<int, int> error = unexpected(3);
    CHECK(value.has_value());
    CHECK_FALSE(error.has_value());
    CHECK(error.value_or(4) == 4);
}

TEST_CASE("members of the value") {
    const expected<pair, reason> result = pair{1, 2};
    CHECK(result->first == 1);
    CHECK(result->second == 2);
}

TEST_CASE("reading the side that is not there ends the program") {
    volatile uint32_t small = 0;
    volatile uint32_t good = 4;
    CHECK(signal_of([&] { (void)*half(good); }) == 0);
    CHECK(signal_of([&] { (void)half(small).error(); }) == 0);
    CHECK(signal_of([&] { (void)*half(small); }) != 0);
    CHECK(signal_of([&] { (void)half(good).error(); }) != 0);
}
