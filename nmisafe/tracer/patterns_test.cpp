// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/internal/patterns.hpp"

#include <doctest/doctest.h>

#include <string>

using nmisafe::tracer::internal::matches;

TEST_CASE("a pattern is matched by all of a name") {
    CHECK(matches("sched_switch", "sched_switch"));
    CHECK(!matches("sched_switch", "sched_switc"));
    CHECK(!matches("sched_switc", "sched_switch"));
    CHECK(matches("*", ""));
    CHECK(matches("", ""));
    CHECK(!matches("", "a"));
    CHECK(!matches("?", ""));
    CHECK(matches("sched_*", "sched_"));
    CHECK(matches("*_entry", "nmi_entry"));
    CHECK(!matches("*_entry", "nmi_entry_"));
    CHECK(matches("*a*b?", "xxaabbab_abc"));
    CHECK(matches("a?c*", "abc"));
    CHECK(!matches("a?c*", "ab"));
    CHECK(matches("**", "ab"));
}

TEST_CASE("every pattern of three letters against every name of four") {
    // By the definition: * is as many ? as there are letters.
    const auto slow = [](auto self, const std::string& pattern, const std::string& text) -> bool {
        if (pattern.empty())
            return text.empty();
        if (pattern[0] == '*')
            return self(self, pattern.substr(1), text) ||
                   (!text.empty() && self(self, pattern, text.substr(1)));
        return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
               self(self, pattern.substr(1), text.substr(1));
    };
    const auto all = [](const std::string& letters, unsigned longest, auto visit) {
        for (unsigned length = 0; length <= longest; ++length) {
            unsigned count = 1;
            for (unsigned i = 0; i < length; ++i)
                count *= unsigned(letters.size());
            for (unsigned number = 0; number < count; ++number) {
                std::string one;
                for (unsigned i = 0, rest = number; i < length;
                     ++i, rest /= unsigned(letters.size()))
                    one += letters[rest % letters.size()];
                visit(one);
            }
        }
    };
    unsigned wrong = 0;
    unsigned matched = 0;
    all("ab*?", 4, [&](const std::string& pattern) {
        all("ab", 5, [&](const std::string& text) {
            const bool expected = slow(slow, pattern, text);
            matched += expected;
            wrong += matches(pattern.c_str(), text.c_str()) != expected;
        });
    });
    CHECK(wrong == 0);
    CHECK(matched > 1000);
}

TEST_CASE(
    "the latest pattern that fits decides, and those that nothing asks any more are forgotten") {
    nmisafe::tracer::internal::patterns<7, 4> all{};
    CHECK(all.is_short("1234567"));
    CHECK(!all.is_short("12345678"));
    CHECK(!all.wants("", "a"));
    all.remember("", "a*", true);
    all.remember("", "ab", false);
    CHECK(all.wants("", "a"));
    CHECK(!all.wants("", "ab"));
    CHECK(!all.wants("net", "a"));
    all.remember("net", "*", true);
    CHECK(all.wants("net", "a"));
    CHECK(!all.wants("", "b"));
    all.remember("n*", "x", false);
    CHECK(!all.wants("net", "x"));
    CHECK(!all.has_room("", "b"));
    CHECK(all.has_room("", "ab"));
    CHECK(all.has_room("", "*"));
    CHECK(all.has_room("net", "*"));
    all.remember("", "*", false);
    CHECK(!all.wants("", "a"));
    CHECK(all.wants("net", "a"));
    CHECK(all.has_room("", "b"));
    all.remember("*", "*", false);
    CHECK(!all.wants("net", "a"));
    all.remember("", "b", true);
    all.remember("", "c", true);
    CHECK(!all.has_room("", "d"));
}
