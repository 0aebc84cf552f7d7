// SPDX-License-Identifier: MIT
#include "tool/evidence/execution_log.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <initializer_list>

namespace nmisafe::tool {

namespace {

std::string executed(std::uint64_t pc) {
    return fmt::format("Trace 0: 0x7fa0402f5740 [00000000/{:08x}/000000b0/ff020201] ", pc);
}

std::string stopped(std::uint64_t pc) {
    return fmt::format("Stopped execution of TB chain before 0x7fa0402f5740 [{:08x}] ", pc);
}

std::string fault(std::uint64_t pc) {
    return fmt::format("     5: v=0e e=0002 i=0 cpl=0 IP=0008:{0:08x} pc={0:08x} SP=0010:00027f68 "
                       "CR2=00800000",
                       pc);
}

execution_analysis analyse(std::initializer_list<std::string> lines) {
    execution_analysis analysis({{"path", {0x10, 0x14}}}, {{"cost", {{0x10, 0x14}}}});
    for (const std::string& line : lines) {
        analysis.feed(line);
    }
    analysis.finish();
    return analysis;
}

using addresses = std::set<std::uint64_t>;

} // namespace

TEST_CASE("the lines QEMU 7.2 writes, for both widths") {
    const auto wide = parse_execution_line(
        "Trace 0: 0x7f5cfc302b80 [0000000000000000/ffffffff8010000c/000000b0/ff020201] name");
    REQUIRE(wide);
    CHECK(wide->pc == 0xffffffff8010000c);
    CHECK_FALSE(wide->taken_back);
    CHECK(parse_execution_line(executed(0x100100))->pc == 0x100100);
    CHECK(parse_execution_line(stopped(0x100100))->taken_back);
    CHECK(parse_execution_line(stopped(0x100100))->pc == 0x100100);
    for (const char* line :
         {"", "Trace 1: 0x7fa0402f5740 [00000000/00100100/000000b0/ff020201] ", "Trace 0: 0x7f",
          "Trace 0: 0x7f [00000000]", "Trace 0: x [0/g/0/0]", "Trace 0: x ]0/1/0/0[",
          "cpu_io_recompile: rewound execution of TB to x",
          "apic_deliver_irq dest 0 dest_mode 0 delivery_mode 4 vector 0 trigger_mode 0"}) {
        CAPTURE(line);
        CHECK_FALSE(parse_execution_line(line));
    }
    const auto rewound =
        parse_execution_line("cpu_io_recompile: rewound execution of TB to ffffffff80101be4");
    REQUIRE(rewound);
    CHECK(rewound->taken_back);
    CHECK(rewound->pc == 0xffffffff80101be4);
}

TEST_CASE("a window collects from its begin to before its end, over all walks") {
    const auto analysis = analyse({executed(0x8), executed(0x10), executed(0x11), executed(0x14),
                                   executed(0x20), executed(0x10), executed(0x12), executed(0x14)});
    CHECK(analysis.windows().at("path").times_complete == 2);
    CHECK(analysis.windows().at("path").instructions == addresses{0x10, 0x11, 0x12});
    CHECK(analysis.instructions() == 8);
}

TEST_CASE("a walk that does not reach the end does not count") {
    const auto analysis = analyse({executed(0x10), executed(0x11)});
    CHECK(analysis.windows().at("path").times_complete == 0);
    CHECK(analysis.windows().at("path").instructions.empty());
    CHECK(analysis.measures()[0].occurrences == 0);
}

TEST_CASE("a measure counts executions, repeated ones too, and keeps both extremes") {
    const auto analysis = analyse({executed(0x10), executed(0x11), executed(0x11), executed(0x14),
                                   executed(0x10), executed(0x14), executed(0x11)});
    REQUIRE(analysis.measures().size() == 1);
    CHECK(analysis.measures()[0].name == "cost");
    CHECK(analysis.measures()[0].occurrences == 2);
    CHECK(analysis.measures()[0].largest == 3);
    CHECK(analysis.measures()[0].smallest == 1);
}

TEST_CASE("an instruction that was taken back has not run") {
    const auto analysis = analyse({executed(0x10), executed(0x11), stopped(0x11), executed(0x30),
                                   executed(0x11), executed(0x14), stopped(0x14), executed(0x14)});
    CHECK(analysis.instructions() == 4);
    CHECK(analysis.measures()[0].largest == 3);
    CHECK(analysis.windows().at("path").instructions == addresses{0x10, 0x11, 0x30});
}

TEST_CASE("an instruction that is entered again to reach a device has run once") {
    const auto analysis = analyse({executed(0x10), executed(0x11),
                                   "cpu_io_recompile: rewound execution of TB to 00000011",
                                   executed(0x11), executed(0x14)});
    CHECK(analysis.instructions() == 3);
    CHECK(analysis.measures()[0].largest == 2);
    using steps = std::set<std::pair<std::uint64_t, std::uint64_t>>;
    CHECK(analysis.windows().at("path").steps == steps{{0x10, 0x11}});
}

TEST_CASE("what only a page fault leads to is known") {
    CHECK(parse_fault_line(fault(0x106049)) == 0x106049);
    CHECK(parse_fault_line("     0: v=0d e=fff8 i=0 cpl=0 IP=0008:00106049 pc=00106049 SP=x") ==
          0x106049);
    CHECK_FALSE(parse_fault_line("     0: v=03 e=0000 i=1 cpl=0 IP=0008:00106049 pc=00106049 "
                                 "SP=0010:00027f68 EAX=00000001"));
    CHECK_FALSE(parse_fault_line("check_exception old: 0xffffffff new 0xe"));
    CHECK_FALSE(parse_fault_line("     0: v=0e e=0002 i=0"));

    // 0x11 faults to 0x50 and is run again; 0x60 is reached both by a fault and by a jump.
    const auto analysis = analyse({executed(0x10), executed(0x11), fault(0x11), executed(0x50),
                                   executed(0x11), executed(0x12), fault(0x12), executed(0x60),
                                   executed(0x12), executed(0x60), executed(0x14)});
    CHECK(entered_by_faults(analysis.windows().at("path")) == addresses{0x50});
}

TEST_CASE("a fault of another instruction than the last does not count") {
    const auto analysis =
        analyse({executed(0x10), executed(0x11), fault(0x12), executed(0x50), executed(0x14)});
    CHECK(entered_by_faults(analysis.windows().at("path")).empty());
}

TEST_CASE("a path that is a loop ends and begins at one address") {
    execution_analysis analysis({{"loop", {0x10, 0x10}}}, {{"loop", {{0x10, 0x10}}}});
    for (std::uint64_t pc : {0x10u, 0x11u, 0x10u, 0x12u, 0x10u}) {
        analysis.feed(executed(pc));
    }
    analysis.finish();
    CHECK(analysis.windows().at("loop").times_complete == 2);
    CHECK(analysis.windows().at("loop").instructions == addresses{0x10, 0x11, 0x12});
    CHECK(analysis.measures()[0].occurrences == 2);
    CHECK(analysis.measures()[0].largest == 2);
}

TEST_CASE("a log that is not there is no empty log") {
    CHECK_FALSE(read_execution_log("/nowhere/at/all", [](std::string_view) {}));
}

} // namespace nmisafe::tool
