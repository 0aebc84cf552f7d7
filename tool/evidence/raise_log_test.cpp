// SPDX-License-Identifier: MIT
#include "tool/evidence/raise_log.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <initializer_list>

namespace nmisafe::tool {

namespace {

constexpr const char* raised =
    "apic_deliver_irq dest 0 dest_mode 0 delivery_mode 4 vector 0 trigger_mode 0";

std::string executed(std::uint64_t pc) {
    return fmt::format("Trace 0: 0x7fa0402f5740 [00000000/{:08x}/000000b0/ff020201] ", pc);
}

// Walked undisturbed: 0x10, 0x12, 0x40, 0x14, then the end 0x11 right behind the begin.
std::map<std::string, pended_window> one_window() {
    return {{"path",
             {{0x10, 0x11},
              {{0x10, 0x12, 0x14, 0x40}, {{0x10, 0x12}, {0x12, 0x40}, {0x40, 0x14}}, {}, {}, 1}}}};
}

using addresses = std::set<std::uint64_t>;

addresses boundaries(std::initializer_list<std::string> lines) {
    raise_analysis analysis(one_window());
    for (const std::string& line : lines) {
        analysis.feed(line);
    }
    return analysis.boundaries().at("path");
}

} // namespace

TEST_CASE("an NMI is raised before the instruction that follows its line") {
    CHECK(boundaries({executed(0x10), raised, executed(0x12), executed(0x40), executed(0x14),
                      executed(0x11)}) == addresses{0x12});
    CHECK(boundaries({executed(0x10), executed(0x12), raised, executed(0x40), executed(0x14),
                      executed(0x11), executed(0x10), executed(0x12), executed(0x40), raised,
                      executed(0x14)}) == addresses{0x40, 0x14});
}

TEST_CASE("only NMIs count") {
    raise_analysis analysis(one_window());
    for (const std::string& line :
         {executed(0x10),
          std::string(
              "apic_deliver_irq dest 0 dest_mode 0 delivery_mode 0 vector 80 trigger_mode 0"),
          executed(0x12), std::string("apic_local_deliver vector 0 delivery_mode 4 "),
          executed(0x40)}) {
        analysis.feed(line);
    }
    CHECK(analysis.raises() == 0);
    CHECK(analysis.boundaries().at("path").empty());
    analysis.feed(raised);
    CHECK(analysis.raises() == 1);
}

TEST_CASE("an NMI outside a walk does not count") {
    // Before the begin, after the end, and in code that the walk shares with others.
    CHECK(boundaries({executed(0x20), raised, executed(0x10)}).empty());
    CHECK(boundaries({executed(0x12), raised, executed(0x40)}).empty());
    CHECK(boundaries({executed(0x10), executed(0x12), executed(0x40), executed(0x14),
                      executed(0x11), executed(0x12), raised, executed(0x40)})
              .empty());
}

TEST_CASE("an NMI among instructions that are not logged does not count") {
    // Somewhere between 0x12 and 0x14, which do not follow each other in the walk.
    CHECK(boundaries({executed(0x10), executed(0x12), raised, executed(0x14)}).empty());
}

TEST_CASE("behind a block, where its instructions lead in the walk, and nowhere else") {
    // 0x10 and 0x12 stand in a row, then a jump to 0x40 and 0x43, which may go back to 0x40.
    const std::map<std::string, pended_window> windows = {
        {"path",
         {{0x10, 0x30},
          {{0x10, 0x12, 0x40, 0x43, 0x14},
           {{0x10, 0x12}, {0x12, 0x40}, {0x40, 0x43}, {0x43, 0x40}, {0x43, 0x14}},
           {},
           {},
           1}}}};
    const auto found = [&](std::uint64_t block, std::uint64_t pc) {
        raise_analysis analysis(windows);
        for (const std::string& line :
             {executed(0x10), executed(block), std::string(raised), executed(pc)}) {
            analysis.feed(line);
        }
        return analysis.boundaries().at("path") == addresses{pc};
    };
    CHECK(found(0x10, 0x12)); // the block was cut short
    CHECK(found(0x10, 0x40)); // it ended in the jump
    CHECK(found(0x40, 0x43));
    CHECK(found(0x40, 0x40));
    CHECK(found(0x40, 0x14));
    CHECK_FALSE(found(0x10, 0x43)); // there is another block between
    CHECK_FALSE(found(0x12, 0x14));
    CHECK_FALSE(found(0x40, 0x12));
    CHECK_FALSE(found(0x14, 0x40)); // nothing leads on from there
}

TEST_CASE("an instruction that was taken back is entered again at the same boundary") {
    for (const char* back : {"Stopped execution of TB chain before 0x7fa0402f5740 [00000040] ",
                             "cpu_io_recompile: rewound execution of TB to 00000040"}) {
        CAPTURE(back);
        CHECK(boundaries({executed(0x10), executed(0x12), executed(0x40), back, raised,
                          executed(0x40), executed(0x14)}) == addresses{0x40});
        CHECK(boundaries({executed(0x10), executed(0x12), raised, executed(0x40), back,
                          executed(0x40), executed(0x14)}) == addresses{0x40});
    }
    // The begin was not executed yet: the NMI came before the window.
    CHECK(boundaries({executed(0x10), "cpu_io_recompile: rewound execution of TB to 00000010",
                      raised, executed(0x10), executed(0x12)})
              .empty());
}

TEST_CASE("a walk that was abandoned is begun anew") {
    CHECK(boundaries({executed(0x10), executed(0x12), raised, executed(0x40), executed(0x10),
                      raised, executed(0x12)}) == addresses{0x40, 0x12});
    // Raised before the next walk begins, after one that was abandoned.
    CHECK(boundaries({executed(0x10), executed(0x12), executed(0x40), raised, executed(0x10),
                      executed(0x12)})
              .empty());
}

TEST_CASE("each window has its own boundaries") {
    auto windows = one_window();
    windows["other"] = {{0x20, 0x21},
                        {{0x20, 0x12, 0x40}, {{0x20, 0x12}, {0x12, 0x40}}, {}, {}, 1}};
    raise_analysis analysis(windows);
    // The walk of `path` is abandoned; what follows the begin of `other` belongs to that.
    for (const std::string& line : {executed(0x10), executed(0x12), executed(0x20), executed(0x12),
                                    std::string(raised), executed(0x40)}) {
        analysis.feed(line);
    }
    CHECK(analysis.boundaries().at("path").empty());
    CHECK(analysis.boundaries().at("other") == addresses{0x40});
}

TEST_CASE("logged are the windows' instructions and their ends, in few ranges") {
    const auto ranges = ranges_of(one_window());
    REQUIRE(ranges.size() == 2);
    CHECK(ranges[0].begin == 0x10);
    CHECK(ranges[0].end == 0x24);
    CHECK(ranges[1].begin == 0x40);
    CHECK(ranges[1].end == 0x50);
    CHECK(ranges_of({}).empty());
}

} // namespace nmisafe::tool
