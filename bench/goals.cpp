// SPDX-License-Identifier: MIT
#include "bench/goals.hpp"

#include <fmt/format.h>
#include <ostream>

namespace nmisafe::bench {

verdict judge(std::ostream& out, const medians& found, const goal_set& set) {
    verdict result = verdict::met;
    for (const auto& [name, most, reference, control] : set.goals) {
        const auto against = find(found, reference);
        const auto figure = set.compare(find(found, name), against);
        const auto control_figure = set.compare(find(found, control), against);
        if (!figure || !control_figure) {
            out << fmt::format("{}: not measured\n", name);
            return verdict::not_measured;
        }
        const bool met = *figure <= most;
        const bool control_missed = *control_figure > most;
        out << fmt::format("{}: {:.3f} {} {}, goal {:.2f}: {}; control {} {:.3f}: {}\n", name,
                           *figure, set.phrase, reference, most, met ? "met" : "missed", control,
                           *control_figure, control_missed ? "misses it" : "FAILED, meets it");
        if (!control_missed)
            result = verdict::control_failed;
        else if (!met && result == verdict::met)
            result = verdict::missed;
    }
    return result;
}

} // namespace nmisafe::bench
