// SPDX-License-Identifier: MIT
#include "bench/marker_summary.hpp"

#include <fmt/format.h>
#include <ostream>

namespace nmisafe::bench {

namespace {

constexpr goal goals[] = {
    {"marker", 0.1, "empty", "one-cycle"},
    {"marker/cold", 0.5, "empty/cold", "marker-load/cold"},
};

} // namespace

const goal_set marker_goals = {difference, "ns a site more than", goals};

void print_marker_table(std::ostream& out, const medians& found) {
    const auto row = [&out](auto... columns) {
        out << fmt::format("{:<24} {:>10} {:>10} {:>10} {:>10}\n", columns...);
    };
    row("one site, median", "hot ns", "added", "cold ns", "added");
    for (const std::string name : {"empty", "marker", "marker-load", "flag", "lttng", "marker-on",
                                   "read", "load", "one-cycle"}) {
        const auto hot = find(found, name);
        const auto cold = find(found, name + "/cold");
        if (hot || cold)
            row(name, number(hot, 3), number(difference(hot, find(found, "empty")), 3),
                number(cold, 2), number(difference(cold, find(found, "empty/cold")), 2));
    }
    out << "added: more than the empty loop\n";
}

} // namespace nmisafe::bench
