// SPDX-License-Identifier: MIT
#include "bench/marker_summary.hpp"

#include <fmt/format.h>
#include <ostream>

namespace nmisafe::bench {

namespace {

constexpr goal goals[] = {
    {"marker", 0.1, "empty", "one-cycle"},
    {"marker/cold", 0.5, "empty/cold", "marker-load/cold"},
    {"marker/cold", 0.5, "empty/cold", "lttng/cold"},
};

} // namespace

const goal_set marker_goals = {difference, "ns a site more than", goals};

void print_marker_table(std::ostream& out, const medians& found) {
    const auto row = [&out](auto name, auto... columns) {
        out << fmt::format("{:<16}", name);
        ((out << fmt::format(" {:>9}", columns)), ...);
        out << '\n';
    };
    row("one site, median", "hot ns", "added", "cold ns", "added", "alone ns", "added");
    for (const std::string name : {"empty", "marker", "marker-load", "flag", "lttng", "marker-on",
                                   "read", "load", "one-cycle"}) {
        const auto hot = find(found, name);
        const auto cold = find(found, name + "/cold");
        const auto alone = find(found, name + "/alone");
        if (hot || cold || alone)
            row(name, number(hot, 3), number(difference(hot, find(found, "empty")), 3),
                number(cold, 2), number(difference(cold, find(found, "empty/cold")), 2),
                number(alone, 1), number(difference(alone, find(found, "empty/alone")), 1));
    }
    out << "added: more than the empty loop\n";
}

} // namespace nmisafe::bench
