// SPDX-License-Identifier: MIT
// What a run comes to, one line for each experiment and width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tool/evidence/verdict.hpp"

namespace nmisafe::tool {

class summary {
  public:
    // Of all that will run.
    explicit summary(const std::vector<guest_run>& runs);

    // The columns' names.
    std::string head() const;
    // Takes what a guest has come to. The line of its experiment and width if it is the last of
    // those, else nothing.
    std::string add(const guest_run& run, const std::vector<judged_row>& rows, double seconds);
    // The head and all lines, in the order of the runs.
    std::string text() const;

  private:
    // A policy, or a control's missing part: it counts when all of its rows passed.
    struct claim {
        std::string label;
        bool passed = true;
    };
    struct group {
        std::string_view experiment;
        std::string_view arch;
        std::size_t guests = 0; // that are still to come
        double seconds = 0;
        std::uint64_t boundaries = 0; // of the safe rows
        bool passed = true;
        std::vector<claim> held = {};
        std::vector<claim> harm_shown = {};
    };

    group& group_of(const guest_run& run);
    std::string line(std::string_view experiment, std::string_view arch,
                     std::string_view boundaries, std::string_view seconds,
                     std::string_view verdict, std::string_view held,
                     std::string_view harm_shown) const;
    std::string line(const group& finished) const;

    std::vector<group> groups_;
    std::size_t experiment_width_ = std::string_view("experiment").size();
    std::size_t arch_width_ = 0;
    std::size_t held_width_ = std::string_view("held").size();
};

} // namespace nmisafe::tool
