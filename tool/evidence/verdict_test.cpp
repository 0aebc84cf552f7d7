// SPDX-License-Identifier: MIT
// What the tests with fake emulators (tool/test) do not reach: odd ends and each kind of harm.
#include "tool/evidence/verdict.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

constexpr catalogue_entry safe_entry{.experiment = "e", .policies = "far"};
constexpr catalogue_entry control_entry{.experiment = "e",
                                        .policies = "far",
                                        .expected = expectation::control,
                                        .symptom = "stack_growth"};
constexpr catalogue_entry two_paths_entry{
    .experiment = "e", .policies = "far", .paths_without_nmis = "quiet", .counts_boundaries = true};

constexpr std::string_view hello = "@hello arch=x86_64 experiment=e policy=far without=none\n";

guest_run run_of(const catalogue_entry& entry) {
    return {&entry, "x86_64", "far"};
}

std::string row(std::string_view more = "", std::string_view harm = "") {
    std::string text = fmt::format("@row {}", more);
    for (std::string_view counter : row_counters) {
        text += fmt::format(
            " {}={}", counter,
            counter == harm || counter == "nmis_handled" || counter == "boundaries" ? 1 : 0);
    }
    return text + "\n";
}

guest_outcome outcome(const std::string& text, int status = 33) {
    console_reader reader;
    reader.feed(text);
    reader.finish();
    return {{process_end::exited, status, {}, {}}, reader.content()};
}

std::string good(const std::string& rows) {
    return std::string(hello) + rows + "@done\n";
}

std::string reason(const catalogue_entry& entry, const std::string& text) {
    const judgement judged = judge(run_of(entry), outcome(text), nullptr, nullptr);
    REQUIRE(judged.rows.size() == 1);
    CHECK(judged.rows[0].passed == judged.rows[0].reason.empty());
    return judged.rows[0].reason;
}

} // namespace

TEST_CASE("each kind of harm fails a safe row") {
    CHECK(reason(safe_entry, good(row())).empty());
    for (std::string_view harm : {"failures", "nested", "lost", "corrupted", "unsafe_irets"}) {
        CHECK(reason(safe_entry, good(row("", harm))) == fmt::format("{} is 1", harm));
    }
}

TEST_CASE("an explained failure fails a safe row even when it was not counted") {
    CHECK(reason(safe_entry, good(row() + "@fail what=\"odd\"\n")) == "odd");
}

TEST_CASE("only a path of the catalogue's list may go without NMIs") {
    const auto without_nmis = [](std::string_view path) {
        std::string text = row(fmt::format("path={}", path));
        return text.replace(text.find("nmis_handled=1"), 14, "nmis_handled=0");
    };
    CHECK(reason(two_paths_entry, good(without_nmis("quiet"))).empty());
    CHECK(reason(two_paths_entry, good(without_nmis("loud"))) == "no NMI was handled");
    CHECK(reason(two_paths_entry, good(row("path=loud"))).empty());
}

TEST_CASE("a control needs its symptom, wherever the row has it") {
    CHECK(reason(control_entry, good(row("stack_growth=1", "nested"))).empty());
    CHECK(reason(control_entry, good(row("stack_growth=0", "nested"))) ==
          "the control did not show its symptom: stack_growth is 0");
    CHECK(reason(control_entry, good(row("", "nested"))) == "the row has no number stack_growth");
}

TEST_CASE("a control that comes to a bad end fails although it showed its symptom") {
    const std::string shown = row("stack_growth=1");
    CHECK(reason(control_entry, std::string(hello) + shown).starts_with("guest reset or stopped"));
    CHECK(
        reason(control_entry, good(shown) + "@done\n").starts_with("bad console: a record after"));
    CHECK(reason(control_entry, std::string(hello) + shown + "@panic what=\"x\"\n") == "panic: x");
}

TEST_CASE("a panic is the reason however the emulator ended") {
    guest_outcome ended = outcome(std::string(hello) + "@panic what=\"x\" rip=0x1\n");
    for (process_end end : {process_end::exited, process_end::timed_out, process_end::stopped}) {
        ended.process.end = end;
        CHECK(end_failure(run_of(safe_entry), ended) == "panic: x rip=0x1");
    }
}

TEST_CASE("one bad row does not fail another of the same guest") {
    const judgement judged = judge(
        run_of(safe_entry), outcome(good(row("path=a") + row("path=b", "lost"))), nullptr, nullptr);
    REQUIRE(judged.rows.size() == 2);
    CHECK(judged.rows[0].passed);
    CHECK(judged.rows[1].reason == "lost is 1");
}

TEST_CASE("a bad end fails every row that was printed before it") {
    const judgement judged = judge(
        run_of(safe_entry), outcome(good(row("path=a") + row("path=b")), 0), nullptr, nullptr);
    REQUIRE(judged.rows.size() == 2);
    CHECK_FALSE(judged.rows[0].passed);
    CHECK_FALSE(judged.rows[1].passed);
}

} // namespace nmisafe::tool
