// SPDX-License-Identifier: MIT
#include "tool/report/report.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace nmisafe::tool {

namespace {

constexpr catalogue_entry entry{.experiment = "e",
                                .policies = "iret",
                                .expected = expectation::control,
                                .symptom = "nested",
                                .without = "tf"};

report sample() {
    judged_row passed{{&entry, "x86_32", "iret"}, {"p", {}}, true, "", std::nullopt};
    std::uint64_t value = 10;
    for (std::string_view counter : row_counters) {
        passed.row.numbers.emplace_back(counter, value++);
    }
    passed.row.numbers.emplace_back("ticks", 99);
    passed.covered = coverage{"raised", 3, 2, {0xffffffff80000010}, {0x20}};
    judged_row failed{{&entry, "x86_64", "iret"}, {},           false,
                      "quotes \xff byte",         std::nullopt, {"a", "b"}};
    return {{{passed, "qemu 7.2.22", "out/a.log"}, {failed, "qemu 7.2.22", "out/b.log"}},
            {{"nmi-entry", "x86_64", "near", 3, 40, 38, 7}}};
}

} // namespace

TEST_CASE("the report has the agreed fields with the right values") {
    const auto json = nlohmann::json::parse(report_json(sample()));
    CHECK(json["schema"] == 1);
    REQUIRE(json["rows"].size() == 2);
    const auto expected = nlohmann::json::parse(R"({
        "experiment": "e", "path": "p", "arch": "x86_32", "emulator": "qemu 7.2.22",
        "policy": "iret", "without": "tf", "boundaries": 10, "nmis_raised": 11,
        "nmis_handled": 12, "nested": 13, "lost": 14, "corrupted": 15, "unsafe_irets": 16,
        "failures": 17, "expected": "control", "passed": true, "reason": "", "said": [], "log": "out/a.log",
        "extras": {"ticks": 99},
        "coverage": {"how": "raised", "instructions": 3, "hit": 2, "missing": ["0xffffffff80000010"],
                     "unreachable": ["0x20"]}})");
    CHECK(json["rows"][0] == expected);
    CHECK(json["rows"][1]["passed"] == false);
    CHECK(json["rows"][1]["nested"] == 0);
    CHECK_FALSE(json["rows"][1].contains("coverage"));
    CHECK(json["costs"] == nlohmann::json::parse(R"([{"name": "nmi-entry", "arch": "x86_64",
        "policy": "near", "instructions": 40, "smallest": 38, "occurrences": 7,
        "items": 3, "per_item": 14}])"));
}

TEST_CASE("the tables show every row and the costs") {
    const std::string text = tables_text(sample());
    for (const char* part : {"irets", "FAILED", "passed", "nmi-entry"}) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
}

TEST_CASE("the verdict names what failed, with all that was said of it, and the sums") {
    CHECK(verdict_text(sample()) ==
          "failed:\n"
          "  x86_64-e-iret-without-tf: quotes \xff byte (log: out/b.log)\n"
          "      said: a\n"
          "      said: b\n"
          "\n2 rows, 1 passed, 1 failed\n");
    CHECK(failed_rows(sample()) == 1);
    report good = sample();
    good.rows.pop_back();
    CHECK(verdict_text(good) == "1 rows, 1 passed, 0 failed\n");
}

TEST_CASE("what a guest says without end is cut") {
    for (std::size_t number : {20u, 21u}) {
        report talkative = sample();
        talkative.rows[1].judged.said.assign(number, "again");
        const std::string text = verdict_text(talkative);
        std::size_t found = 0;
        for (std::size_t at = text.find("said: again"); at != std::string::npos;
             at = text.find("said: again", at + 1)) {
            ++found;
        }
        CHECK(found == 20);
        CHECK((text.find("and 1 more\n") != std::string::npos) == (number == 21));
    }
}

TEST_CASE("the table fits a terminal of 180 columns") {
    report widest = sample();
    for (const catalogue_entry& entry_in_use : catalogue()) {
        for (std::string_view policy : split_words(entry_in_use.policies)) {
            std::vector<std::string_view> paths = split_words(entry_in_use.paths);
            paths.push_back("");
            for (std::string_view path : paths) {
                judged_row row{{&entry_in_use, "x86_64", policy},
                               {std::string(path), {}},
                               true,
                               "",
                               std::nullopt};
                for (std::string_view counter : row_counters) {
                    row.row.numbers.emplace_back(counter, 12345);
                }
                widest.rows.push_back({row, "qemu 7.2.22", "out/a.log"});
            }
        }
    }
    const std::string text = tables_text(widest);
    std::size_t longest = 0;
    for (std::size_t begin = 0; begin < text.find("\ncost "); begin = text.find('\n', begin) + 1) {
        longest = std::max(longest, text.find('\n', begin) - begin);
    }
    CHECK(longest > 100);
    CHECK(longest <= 180);
}

} // namespace nmisafe::tool
