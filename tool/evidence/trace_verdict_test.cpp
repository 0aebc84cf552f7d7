// SPDX-License-Identifier: MIT
// Coverage: what the logged runs of a guest must show beside its own words.
#include "tool/evidence/trace_verdict.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

constexpr catalogue_entry sweep{.experiment = "e",
                                .policies = "far",
                                .counts_boundaries = true,
                                .instruction_count = true,
                                .trace = true};
constexpr catalogue_entry control{.experiment = "e",
                                  .policies = "far",
                                  .expected = expectation::control,
                                  .symptom = "boundaries",
                                  .instruction_count = true,
                                  .trace = true};

constexpr const char* raised =
    "apic_deliver_irq dest 0 dest_mode 0 delivery_mode 4 vector 0 trigger_mode 0";

// Two paths: q's NMIs are delivered at once, p's are pended.
const std::string rows =
    "@row path=q delivered=1 boundaries=9 nmis_raised=9 nmis_handled=9 nested=0 lost=0 "
    "corrupted=0 unsafe_irets=0 failures=0\n"
    "@row path=p delivered=0 boundaries=8 nmis_raised=9 nmis_handled=9 nested=0 lost=0 "
    "corrupted=0 unsafe_irets=0 failures=0\n";
const std::string rips = "@rips path=q list=0x20,0x21,0x99\n";
const std::string windows =
    "@window path=p begin=0x10 end=0x14\n@window path=q begin=0x20 end=0x24\n";

guest_run run_of(const catalogue_entry& entry) {
    return {&entry, "x86_64", "far"};
}

guest_outcome guest(const std::string& said, int status = 33) {
    console_reader reader;
    reader.feed("@hello arch=x86_64 experiment=e policy=far without=none\n" + said + "@done\n");
    reader.finish();
    return {{process_end::exited, status, {}, {}}, reader.content()};
}

std::string executed(std::uint64_t pc) {
    return fmt::format("Trace 0: 0x1 [0/{:x}/0/0]", pc);
}

using lines = std::vector<std::string>;

const lines undisturbed = {executed(0x10), executed(0x11), executed(0x12), executed(0x14),
                           executed(0x20), executed(0x21), executed(0x24)};
// An NMI before 0x11, and in the second walk one before 0x12.
const lines all_raised = {executed(0x10), raised,         executed(0x11), executed(0x12),
                          executed(0x14), executed(0x10), executed(0x11), raised,
                          executed(0x12), executed(0x14)};
const lines one_raised(all_raised.begin(), all_raised.begin() + 5);

trace_outcome traced(const lines& log, const std::string& said = windows) {
    trace_outcome trace{guest(said), std::nullopt, {}};
    trace.analysis.emplace(trace.guest.console.windows, trace.guest.console.measures);
    for (const std::string& line : log) {
        trace.analysis->feed(line);
    }
    trace.analysis->finish();
    return trace;
}

raises_outcome raises_in(const lines& log, const std::string& said = rows) {
    raises_outcome raises{guest(said), std::nullopt, {}};
    raises.analysis.emplace(pended_windows(guest(rows).console, traced(undisturbed)));
    for (const std::string& line : log) {
        raises.analysis->feed(line);
    }
    return raises;
}

// The verdict on a guest in which all else is as it should be.
std::vector<judged_row> judged(const std::string& said, const trace_outcome& trace,
                               const raises_outcome& raises, const catalogue_entry& entry = sweep) {
    return judge(run_of(entry), guest(said), &trace, &raises).rows;
}

std::string first_reason(const std::string& said, const trace_outcome& trace) {
    return judged(said, trace, raises_in(all_raised))[0].reason;
}

} // namespace

TEST_CASE("full coverage of both kinds passes and is what the row counts") {
    const auto whole = judged(rows + rips, traced(undisturbed), raises_in(all_raised));
    REQUIRE(whole.size() == 2);
    for (const judged_row& row : whole) {
        CHECK(row.reason.empty());
        CHECK(row.row.number("boundaries") == row.covered->hit);
    }
    CHECK(whole[0].covered->how == "delivered");
    CHECK(whole[0].covered->instructions == 2); // the begin too
    CHECK(whole[0].row.number("injections") == 9);
    CHECK(whole[1].covered->how == "raised");
    CHECK(whole[1].covered->instructions == 2); // without the begin
    CHECK(whole[1].row.number("injections") == 8);
}

TEST_CASE("a boundary that was not hit fails its row, and only that") {
    auto rows_judged =
        judged(rows + "@rips path=q list=0x20\n", traced(undisturbed), raises_in(all_raised));
    CHECK(rows_judged[0].reason == "no NMI delivered before 1 of 2 instructions: 0x21");
    CHECK(rows_judged[0].covered->missing == std::vector<std::uint64_t>{0x21});
    CHECK(rows_judged[1].passed);

    rows_judged = judged(rows + rips, traced(undisturbed), raises_in(one_raised));
    CHECK(rows_judged[0].passed);
    CHECK(rows_judged[1].reason == "no NMI raised before 1 of 2 instructions: 0x12");
    CHECK(rows_judged[1].covered->missing == std::vector<std::uint64_t>{0x12});
    CHECK(rows_judged[1].row.number("boundaries") == 1);
}

TEST_CASE("what only a page fault leads to cannot be hit and need not be") {
    lines faulting = undisturbed;
    faulting.insert(faulting.begin() + 6,
                    {"     0: v=0e e=0002 i=0 cpl=0 IP=0008:21 pc=0000000000000021 SP=0010:0 CR2=0",
                     executed(0x80), executed(0x21)});
    const auto both = judged(rows + rips, traced(faulting), raises_in(all_raised));
    CHECK(both[0].reason.empty());
    CHECK(both[0].covered->instructions == 2);
    CHECK(both[0].covered->unreachable == std::vector<std::uint64_t>{0x80});
    faulting.erase(faulting.begin() + 6); // an ordinary jump to the same place must be hit
    CHECK(judged(rows + rips, traced(faulting), raises_in(all_raised))[0].reason ==
          "no NMI delivered before 1 of 3 instructions: 0x80");
}

TEST_CASE("a control may lack pended boundaries, but no delivered ones") {
    const auto rows_judged = judged(rows + "@rips path=q list=0x20\n", traced(undisturbed),
                                    raises_in(one_raised), control);
    CHECK(rows_judged[0].reason == "no NMI delivered before 1 of 2 instructions: 0x21");
    CHECK(rows_judged[1].passed);
    CHECK(rows_judged[1].covered->missing.size() == 1);
}

TEST_CASE("the raises run must have been, end well and be the same run") {
    const trace_outcome trace = traced(undisturbed);
    CHECK(judge(run_of(sweep), guest(rows + rips), &trace, nullptr).rows[0].reason ==
          "no raises run");
    const auto reason = [&](const raises_outcome& raises) {
        return judged(rows + rips, trace, raises)[1].reason;
    };
    CHECK(reason(raises_in(undisturbed)) == "raises run: no NMI in the execution log");
    raises_outcome bad = raises_in(all_raised);
    bad.guest.process.status = 0;
    CHECK(reason(bad) == "raises run: @done, but exit status 0 instead of 33");
    bad = raises_in(all_raised);
    bad.error = "the log cannot be read";
    CHECK(reason(bad) == "raises run: the log cannot be read");

    const std::string differs = "the logged run differs from the normal one: ";
    std::string other = rows;
    other.replace(other.find("boundaries=8"), 12, "boundaries=7");
    CHECK(reason(raises_in(all_raised, other)) == differs + "p boundaries is 7 instead of 8");
    other = rows;
    other.replace(other.find("path=q"), 6, "path=o");
    CHECK(reason(raises_in(all_raised, other)) == differs + "path o instead of q");
    CHECK(reason(raises_in(all_raised, rows.substr(0, rows.find('\n') + 1))) ==
          differs + "1 rows instead of 2");
    other = rows;
    other.replace(other.find("delivered=0"), 11, "elsewhere=0");
    CHECK(reason(raises_in(all_raised, other)) == differs + "p delivered is missing instead of 0");
    other.replace(other.find("elsewhere=0"), 11, "delivered=0 more=0");
    CHECK(reason(raises_in(all_raised, other)) == differs + "more numbers");
}

TEST_CASE("a run without logs is judged by its own words, boundaries too") {
    guest_run run = run_of(sweep);
    run.unlogged = true;
    const judgement judged = judge(run, guest(rows), nullptr, nullptr);
    REQUIRE(judged.rows.size() == 2);
    CHECK(judged.rows[0].passed);
    CHECK(judged.rows[0].row.number("boundaries") == 9);
    CHECK_FALSE(judged.rows[0].covered.has_value());
    std::string none = rows;
    none.replace(none.find("boundaries=9"), 12, "boundaries=0");
    CHECK(judge(run, guest(none), nullptr, nullptr).rows[0].reason == "no boundary was tried");
}

TEST_CASE("nothing to compare is a failure") {
    const trace_outcome full = traced(undisturbed);
    const std::string alone = rows.substr(0, rows.find('\n') + 1);
    CHECK(judge(run_of(sweep), guest(rows), nullptr, nullptr).rows[0].reason == "no trace run");
    CHECK(first_reason(alone, full).starts_with("no NMI delivered before 2 of 2 instructions"));
    std::string other = alone;
    other.replace(other.find("path=q"), 6, "path=z");
    CHECK(first_reason(other, full) == "trace run: no @window of path z");
    CHECK(first_reason(rows.substr(alone.size()), full)
              .starts_with("no path was marked delivered=1"));
    CHECK(first_reason(alone, traced({executed(0x10), executed(0x11)})) ==
          "trace run: window p was not walked from begin to end");
    CHECK(first_reason(alone, traced({})) == "trace run: the execution log is empty");
    CHECK(first_reason(alone, traced(undisturbed, "")) ==
          "trace run: neither @window nor @measure");
    trace_outcome unreadable = full;
    unreadable.error = "the log cannot be read";
    CHECK(first_reason(alone, unreadable) == "trace run: the log cannot be read");

    const trace_outcome begin_only =
        traced({executed(0x10), executed(0x14), executed(0x20), executed(0x24)});
    CHECK(judged(rows + rips, begin_only, raises_in(all_raised))[1].reason ==
          "the window holds no instruction to cover");
}

TEST_CASE("an experiment without windows needs no coverage, only its costs") {
    const trace_outcome costs = traced(undisturbed, "@measure name=c from=0x10 to=0x14\n");
    const judgement verdict =
        judge(run_of(sweep), guest(rows.substr(rows.find('\n') + 1)), &costs, nullptr);
    CHECK(verdict.rows[0].passed);
    CHECK_FALSE(verdict.rows[0].covered);
    CHECK(verdict.rows[0].row.number("boundaries") == 8);
    REQUIRE(verdict.costs.size() == 1);
    CHECK(verdict.costs[0].instructions == 3);
}

} // namespace nmisafe::tool
