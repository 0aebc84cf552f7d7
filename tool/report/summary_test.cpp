// SPDX-License-Identifier: MIT
#include "tool/report/summary.hpp"

#include <doctest/doctest.h>

namespace nmisafe::tool {

namespace {

constexpr catalogue_entry safe{.experiment = "sweep", .policies = "near far"};
constexpr catalogue_entry iret{
    .experiment = "sweep", .policies = "iret", .expected = expectation::control};
constexpr catalogue_entry control{.experiment = "sweep",
                                  .policies = "near far",
                                  .expected = expectation::control,
                                  .without = "stacks"};
constexpr catalogue_entry other{.experiment = "other", .policies = "near"};

const std::vector<guest_run> runs = {{&safe, "x86_64", "near"},     {&safe, "x86_64", "far"},
                                     {&iret, "x86_64", "iret"},     {&control, "x86_64", "near"},
                                     {&control, "x86_64", "far"},   {&other, "x86_64", "near"},
                                     {&other, "x86_32_pae", "near"}};

std::vector<judged_row> rows_of(const guest_run& run, std::initializer_list<bool> passed) {
    std::vector<judged_row> rows;
    for (bool each : passed) {
        rows.push_back(
            {run, {"", {{"boundaries", 100}}}, each, each ? "" : "why", std::nullopt, {}});
    }
    return rows;
}

} // namespace

TEST_CASE("one line for each experiment and width, when its last guest is there") {
    summary shown(runs);
    CHECK(shown.head() == "experiment  arch        boundaries  seconds  verdict  held       "
                          "harm shown by\n");
    for (std::size_t i : {0u, 4u, 2u, 1u}) { // in any order
        CHECK(shown.add(runs[i], rows_of(runs[i], {true, true}), 1.25) == "");
    }
    // The other width's is not of this line.
    CHECK(shown.add(runs[6], rows_of(runs[6], {true}), 7) ==
          "other       x86_32_pae         100      7.0  passed   near       -\n");
    CHECK(
        shown.add(runs[3], rows_of(runs[3], {true}), 1) ==
        "sweep       x86_64             400      6.0  passed   near, far  iret, without stacks\n");
    shown.add(runs[5], rows_of(runs[5], {true}), 2);
    CHECK(shown.text() ==
          shown.head() + "sweep       x86_64             400      6.0  passed   near, far  iret, "
                         "without stacks\n"
                         "other       x86_64             100      2.0  passed   near       -\n"
                         "other       x86_32_pae         100      7.0  passed   near       -\n");
}

TEST_CASE("only what held, and only the controls that showed their harm") {
    for (std::size_t bad = 0; bad < 5; ++bad) {
        CAPTURE(bad);
        summary shown(runs);
        std::string line;
        for (std::size_t i = 0; i < 5; ++i) {
            line = shown.add(runs[i], rows_of(runs[i], {true, i != bad}), 1);
        }
        const char* const expected[] = {"FAILED   far        iret, without stacks\n",
                                        "FAILED   near       iret, without stacks\n",
                                        "FAILED   near, far  without stacks\n",
                                        "FAILED   near, far  iret\n", "FAILED   near, far  iret\n"};
        CHECK(line.ends_with(expected[bad]));
    }
}

TEST_CASE("what has no control says so, and what held nothing too") {
    summary shown({runs[5]});
    CHECK(shown.add(runs[5], rows_of(runs[5], {false}), 1).ends_with("FAILED   -     -\n"));
}

} // namespace nmisafe::tool
