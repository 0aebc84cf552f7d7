// SPDX-License-Identifier: MIT
#include "tool/torture/second_run.hpp"

#include <algorithm>

namespace nmisafe::tool::torture {

std::set<occurrence_of_pc> compare_with_second_run(sweep_report& report,
                                                   const std::set<occurrence_of_pc>& tried,
                                                   const std::vector<boundary>& shown,
                                                   const std::vector<verdict>& allowed,
                                                   std::vector<boundary>& more) {
    std::set<occurrence_of_pc> left = tried;
    for (const boundary& one : shown) {
        if (!tried.contains({one.pc, one.occurrence})) {
            more.push_back(one);
            continue;
        }
        const auto first = std::find_if(report.boundaries.begin(), report.boundaries.end(),
                                        [&one](const judged_boundary& other) {
                                            return other.came_to.what != verdict::same &&
                                                   !other.what.second && other.what.pc == one.pc &&
                                                   other.what.occurrence == one.occurrence;
                                        });
        if (first == report.boundaries.end() || left.erase({one.pc, one.occurrence}) == 0) {
            continue;
        }
        boundary second = one;
        second.step = first->what.step;
        second.memory = first->what.memory;
        const judgement came_to = judge(second, allowed);
        if (came_to.what == verdict::same) {
            first->came_to.what = verdict::noise;
        } else {
            first->confirmed = true;
            first->what = std::move(second);
            first->came_to = came_to;
        }
    }
    return left;
}

void call_noise(sweep_report& report, const std::set<occurrence_of_pc>& never_seen) {
    for (judged_boundary& one : report.boundaries) {
        const verdict what = one.came_to.what;
        const bool is_death = what == verdict::reset || what == verdict::double_fault ||
                              what == verdict::hang || what == verdict::crash;
        if (!is_death && !one.confirmed && !one.what.second && one.came_to.what != verdict::same &&
            never_seen.contains({one.what.pc, one.what.occurrence})) {
            one.came_to.what = verdict::noise;
            one.came_to.why += "; no further run came by this boundary";
        }
    }
}

void compare_memory(sweep_report& report, const std::vector<boundary>& shown,
                    const std::vector<verdict>& allowed) {
    for (judged_boundary& one : report.boundaries) {
        if (one.what.memory.empty()) {
            continue;
        }
        const auto second = std::find_if(shown.begin(), shown.end(), [&one](const boundary& other) {
            return other.pc == one.what.pc && other.occurrence == one.what.occurrence;
        });
        std::erase_if(one.what.memory, [&](std::uint64_t address) {
            return second == shown.end() || std::find(second->memory.begin(), second->memory.end(),
                                                      address) == second->memory.end();
        });
        if (const judgement now = judge(one.what, allowed);
            now.what == verdict::same && one.came_to.what != verdict::same) {
            one.came_to.what = verdict::noise;
        } else {
            one.came_to = now;
        }
    }
}

} // namespace nmisafe::tool::torture
