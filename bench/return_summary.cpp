// SPDX-License-Identifier: MIT
#include "bench/return_summary.hpp"

#include <fmt/format.h>
#include <ostream>

namespace nmisafe::bench {

namespace {

constexpr goal goals[] = {
    {"near", 0.40, "iretq", "iretq-again"},
    {"far", 0.75, "iretq", "iretq-again"},
    {"near/callers", 0.70, "iretq/callers", "near-unbalanced/callers"},
};

} // namespace

const goal_set return_goals = {quotient, "(raw medians) of", goals};

void print_return_table(std::ostream& out, const medians& found) {
    const auto row = [&out](auto... columns) {
        out << fmt::format("{:<24} {:>10} {:>10} {:>10} {:>10}\n", columns...);
    };
    row("one round, median", "ns", "net ns", "raw ratio", "net ratio");
    for (const std::string setting : {"", "/other-stack", "/callers"}) {
        const auto baseline = find(found, "baseline" + setting);
        const auto iretq = find(found, "iretq" + setting);
        for (const std::string form :
             {"baseline", "near", "near-unbalanced", "far", "iretq", "iretq-again"}) {
            const auto raw = find(found, form + setting);
            if (!raw)
                continue;
            const auto net = difference(raw, baseline);
            row(form + setting, number(raw, 2), number(net, 2), number(quotient(raw, iretq), 3),
                number(quotient(net, difference(iretq, baseline)), 3));
        }
    }
    out << "net: less the baseline of the same setting; ratio: to iretq of the same setting\n";
}

} // namespace nmisafe::bench
