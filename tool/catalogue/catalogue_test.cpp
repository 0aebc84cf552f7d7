// SPDX-License-Identifier: MIT
#include "tool/catalogue/catalogue.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <set>

namespace nmisafe::tool {

namespace {

constexpr catalogue_entry entries[] = {
    {.experiment = "first", .policies = "far near", .paths = "one two", .what = "The first."},
    {.experiment = "first",
     .policies = "iret",
     .expected = expectation::control,
     .symptom = "nested",
     .without = "tf"},
    {.experiment = "crash", .policies = "near", .self_test = true, .what = "Crashes."},
};

std::vector<std::string> names(const selection& wanted) {
    std::vector<std::string> found;
    for (const guest_run& run : select(entries, wanted)) {
        found.push_back(run.name());
    }
    return found;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("a selection narrows each way and leaves self tests out") {
    CHECK(names({}).size() == 6);
    CHECK(names({.architectures = {"x86_32"}, .experiments = {}, .policies = {}}) ==
          list{"x86_32-first-far", "x86_32-first-near", "x86_32-first-iret-without-tf"});
    CHECK(names({.architectures = {"x86_64"}, .experiments = {}, .policies = {"iret", "near"}}) ==
          list{"x86_64-first-near", "x86_64-first-iret-without-tf"});
    CHECK(names({.architectures = {}, .experiments = {"first"}, .policies = {"other"}}).empty());
}

TEST_CASE("self tests run when named, or with all") {
    CHECK(names({.architectures = {"x86_64"}, .experiments = {"crash"}, .policies = {}}) ==
          list{"x86_64-crash-near"});
    CHECK(names({.architectures = {}, .experiments = {}, .policies = {}, .all = true}).size() == 8);
    CHECK(names({.architectures = {}, .experiments = {"first"}, .policies = {}, .all = true})
              .size() == 6);
}

TEST_CASE("x86_64 comes first") {
    const auto all = names({});
    CHECK(all.front() == "x86_64-first-far");
    CHECK(all.back() == "x86_32-first-iret-without-tf");
}

TEST_CASE("names are in the catalogue's order, once each") {
    CHECK(architecture_names(entries) == list{"x86_64", "x86_32"});
    CHECK(experiment_names(entries) == list{"first", "crash"});
    CHECK(policy_names(entries) == list{"far", "near", "iret"});
}

TEST_CASE("the text of --list") {
    const std::string text = describe(entries);
    CHECK(text.find("first\n    The first.\n") == 0);
    CHECK(text.find("x86_32\n             paths one two\n    control") != std::string::npos);
    CHECK(text.find("without tf  must show nested > 0") != std::string::npos);
    CHECK(text.find("must fail; only with --all") != std::string::npos);
}

TEST_CASE("the real catalogue is consistent") {
    std::set<std::string> run_names;
    std::set<std::string_view> described;
    REQUIRE(catalogue().size() > 0);
    for (const catalogue_entry& entry : catalogue()) {
        CAPTURE(entry.experiment);
        CAPTURE(entry.policies);
        const bool control = entry.expected == expectation::control;
        CHECK(control == !entry.symptom.empty());
        CHECK((entry.without.empty() || control));
        CHECK(described.insert(entry.experiment).second == !entry.what.empty());
        CHECK(entry.timeout_seconds > 0);
        CHECK(entry.processors >= 1);
        CHECK(entry.processors <= 8);
        if (entry.trace) {
            // Of the execution log CPU 0's lines are followed; it grows with each CPU.
            CHECK(entry.processors <= 2);
            // Runs are compared with each other: they must not depend on the host's time.
            CHECK((entry.instruction_count || !entry.counts_boundaries));
        }
        const auto paths = split_words(entry.paths);
        for (std::string_view quiet : split_words(entry.paths_without_nmis)) {
            CAPTURE(quiet);
            // A latched entry's paths are those that must need the latch.
            CHECK((entry.latched || std::find(paths.begin(), paths.end(), quiet) != paths.end()));
        }
        for (std::string_view arch : split_words(entry.architectures)) {
            CHECK((arch == "x86_64" || arch == "x86_32" || arch == "x86_32_pae"));
            for (std::string_view policy : split_words(entry.policies)) {
                // Two runs of one name would write one log.
                CHECK(run_names.insert(guest_run{&entry, arch, policy}.name()).second);
            }
        }
    }
}

} // namespace nmisafe::tool
