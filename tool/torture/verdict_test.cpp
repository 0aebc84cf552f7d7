// SPDX-License-Identifier: MIT
// What the plugin says of a boundary, and what that comes to: each verdict by the one fact that makes it.
#include <doctest/doctest.h>

#include "tool/torture/second_run.hpp"
#include "tool/torture/sweep_lines.hpp"

namespace {

using namespace nmisafe::tool::torture;

boundary good() {
    boundary one;
    one.end = "end";
    one.pc = 0x1000;
    one.raised = one.entries = one.entries_since = 1;
    return one;
}

verdict verdict_of(const boundary& one, const std::vector<verdict>& allowed = {}) {
    return judge(one, allowed).what;
}

TEST_CASE("each fact has its verdict") {
    CHECK(verdict_of(good()) == verdict::same);
    const auto with = [](auto change) {
        boundary one = good();
        change(one);
        return verdict_of(one);
    };
    CHECK(with([](boundary& one) { one.end = "reset"; }) == verdict::reset);
    CHECK(with([](boundary& one) { one.end = "exit"; }) == verdict::reset);
    CHECK(with([](boundary& one) { one.end = "limit"; }) == verdict::hang);
    CHECK(with([](boundary& one) { one.end = "halted"; }) == verdict::hang);
    CHECK(with([](boundary& one) { one.end = "lost-path"; }) == verdict::hang);
    CHECK(with([](boundary& one) { one.end = "crash"; }) == verdict::crash);
    CHECK(with([](boundary& one) { one.has_double_faulted = true; }) == verdict::double_fault);
    CHECK(with([](boundary& one) { one.entries = one.entries_since = 0; }) == verdict::lost);
    CHECK(with([](boundary& one) { one.ended_blocked = true; }) == verdict::blocked);
    CHECK(with([](boundary& one) { one.latency = 1; }) == verdict::late);
    CHECK(with([](boundary& one) { one.nested = one.overwritten = 1; }) == verdict::overwritten);
    CHECK(with([](boundary& one) { one.nested = 1; }) == verdict::entered_again);
    CHECK(with([](boundary& one) { one.registers["rax"] = {1, 2}; }) == verdict::registers);
    CHECK(with([](boundary& one) { one.memory = {8}; }) == verdict::memory);
}

TEST_CASE("what is as it should be is no finding") {
    boundary one = good();
    one.blocked = true; // in an NMI: the next one waits
    one.latency = 100;
    CHECK(verdict_of(one) == verdict::same);
    one = good();
    one.begun_blocked = one.ended_blocked = true; // a trap in an NMI that leaves them blocked
    CHECK(verdict_of(one) == verdict::same);
    one.entries = one.entries_since = 0;
    CHECK(verdict_of(one) == verdict::lost);
    one.blocked = true; // it waits still
    CHECK(verdict_of(one) == verdict::same);
}

TEST_CASE("behind a load of SS it is the emulator's, behind STI it may be the CPU's too") {
    boundary one = good();
    one.shadow = true;
    CHECK(verdict_of(one) == verdict::same);
    one.registers["rax"] = {1, 2};
    CHECK(verdict_of(one) == verdict::emulator_only);
    one.shadow = false;
    one.behind_sti = true;
    CHECK(verdict_of(one) == verdict::registers);
    CHECK(judge(one, {}).why.find("behind STI") != std::string::npos);
}

TEST_CASE("what is allowed hides nothing else") {
    boundary one = good();
    one.nested = one.overwritten = 1;
    const std::vector<verdict> allowed = {verdict::overwritten};
    CHECK(verdict_of(one, allowed) == verdict::overwritten);
    torture_report report;
    report.allowed = allowed;
    CHECK_FALSE(report.is_finding({one, judge(one, allowed)}));
    one.registers["rax"] = {1, 2};
    CHECK(verdict_of(one, allowed) == verdict::registers);
    CHECK(report.is_finding({one, judge(one, allowed)}));
    CHECK(judge(one, allowed).why ==
          "rax is 0x2, not 0x1; entered 1 times for 1 raised, 1 of them while it was "
          "open, on the frame of the one that was open");
}

TEST_CASE("what a second run does not show is noise") {
    boundary wrong = good();
    wrong.registers["rax"] = {1, 2};
    wrong.memory = {8};
    const occurrence_of_pc place{wrong.pc, wrong.occurrence};
    sweep_report report;
    report.boundaries.push_back({wrong, judge(wrong, {})});
    std::vector<boundary> more;

    sweep_report shown = report;
    boundary second = wrong;
    second.registers["rax"] = {1, 3};
    boundary other = good();
    other.pc = 0x2000;
    CHECK(compare_with_second_run(shown, {place}, {other, second}, {}, more).empty());
    CHECK(shown.boundaries[0].confirmed);
    CHECK(shown.boundaries[0].came_to.what == verdict::registers);
    CHECK(shown.boundaries[0].what.registers.at("rax").second == 3);
    REQUIRE(more.size() == 1);
    CHECK(more[0].pc == 0x2000);

    sweep_report same = report;
    same.boundaries[0].what.memory.clear();
    CHECK(compare_with_second_run(same, {place}, {good()}, {}, more).empty());
    CHECK(same.boundaries[0].came_to.what == verdict::noise);
    CHECK_FALSE(same.boundaries[0].confirmed);
    CHECK_FALSE(torture_report().is_finding(same.boundaries[0]));

    sweep_report memory = report; // which the whole sweep has compared
    memory.boundaries[0].what.registers.clear();
    compare_with_second_run(memory, {place}, {good()}, {}, more);
    CHECK(memory.boundaries[0].came_to.what == verdict::memory);

    sweep_report unseen = report;
    CHECK(compare_with_second_run(unseen, {place}, {other}, {}, more) ==
          std::set<occurrence_of_pc>{place});
    CHECK(unseen.boundaries[0].came_to.what == verdict::registers);
    call_noise(unseen, {place});
    CHECK(unseen.boundaries[0].came_to.what == verdict::noise);
    unseen.boundaries[0].came_to.what = verdict::hang; // no noise does that
    call_noise(unseen, {place});
    CHECK(unseen.boundaries[0].came_to.what == verdict::hang);
    call_noise(shown, {place}); // what is confirmed stays
    CHECK(shown.boundaries[0].came_to.what == verdict::registers);
}

TEST_CASE("memory counts that two whole sweeps have at one boundary") {
    boundary wrong = good();
    wrong.memory = {8, 16};
    sweep_report report;
    report.boundaries.push_back({wrong, judge(wrong, {})});
    sweep_report noisy = report;
    boundary second = good();
    second.memory = {16, 24};
    compare_memory(report, {second}, {});
    CHECK(report.boundaries[0].what.memory == std::vector<std::uint64_t>{16});
    CHECK(report.boundaries[0].came_to.what == verdict::memory);
    second.memory = {24};
    compare_memory(noisy, {second}, {});
    CHECK(noisy.boundaries[0].came_to.what == verdict::noise);
}

TEST_CASE("lines come in any pieces, and the last word of a step counts") {
    sweep_lines lines;
    const std::string text =
        "{\"event\":\"armed\",\"width\":64}\n"
        "{\"event\":\"path\",\"pcs\":[\"0x10\",\"0x12\",\"0x10\"],\"code\":{\"0x10\":\"90c3\"}}\n"
        "{\"event\":\"boundary\",\"step\":2,\"result\":{\"end\":\"end\",\"pc\":\"0x10\","
        "\"occurrence\":1,"
        "\"entries\":1,\"registers\":{\"rax\":[\"0x1\",\"0xffffffffffffffff\"]}}}\n"
        "{\"event\":\"boundary\",\"step\":2,\"result\":{\"end\":\"lost-path\",\"status\":122}}\n"
        "{\"event\":\"memory\",\"physical\":\"0x8\",\"rare\":true,\"steps\":[2]}\n"
        "{\"event\":\"over\",\"deaths\":1,\"cpu_milliseconds\":1500}\n";
    for (const char c : text) {
        lines.take({&c, 1});
    }
    CHECK(lines.error().empty());
    CHECK(lines.is_over());
    CHECK(lines.cpu_seconds() == 1.5);
    CHECK(lines.code().at(0x10) == std::vector<std::uint8_t>{0x90, 0xc3});
    REQUIRE(lines.boundaries().size() == 1);
    const boundary& one = lines.boundaries()[0];
    CHECK(one.end == "lost-path");
    CHECK(one.pc == 0x10);
    CHECK(one.occurrence == 1);
    CHECK(one.entries == 1);
    CHECK(one.registers.at("rax").second == ~std::uint64_t{0});
    CHECK(one.memory == std::vector<std::uint64_t>{8});
}

TEST_CASE("what is no line is said") {
    sweep_lines lines;
    lines.take("{\"event\":\"boundary\"}\n");
    CHECK(lines.error().starts_with("a line of the plugin cannot be read"));
}

TEST_CASE("names of a map") {
    names known;
    known.read_map("ffffffff81000000 T begin\nnonsense\nffffffff81000010 t middle [module]\r\n");
    CHECK(known.name(0xffffffff81000004) == "begin+0x4");
    CHECK(known.name(0xffffffff81000010) == "middle");
    CHECK(known.name(0x1000) == "0x1000");
    CHECK(known.find("middle+0x10") == 0xffffffff81000020);
    CHECK(known.find("0x1000") == 0x1000);
    CHECK_FALSE(known.find("end").has_value());
    CHECK_FALSE(known.find("begin+x").has_value());
}

TEST_CASE("the page and the XML hold no text of a guest's as markup") {
    torture_report report;
    report.kernel = "<b>&\"";
    sweep_report sweep;
    sweep.path = "<path>";
    sweep.walked = {0x10};
    boundary one = good();
    one.registers["rax"] = {1, 2};
    sweep.boundaries.push_back({one, judge(one, {}), true, "repeat <it>"});
    report.sweeps.push_back(sweep);
    const names none;
    CHECK(report_page(report, none).find("<b>") == std::string::npos);
    CHECK(junit_xml(report, none).find("<path>") == std::string::npos);
    CHECK(junit_xml(report, none).find("failures=\"1\"") != std::string::npos);
    CHECK(report_json(report, none).find("\"findings\": 1") != std::string::npos);
}

} // namespace
