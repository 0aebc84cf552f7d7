// SPDX-License-Identifier: MIT
#include "tool/evidence/raise_log.hpp"

#include <algorithm>

namespace nmisafe::tool {

namespace {

using steps_walked = std::set<std::pair<std::uint64_t, std::uint64_t>>;

constexpr std::uint64_t longest_instruction = 16; // 15, and a round number reads better in a log

bool is_raised_nmi(std::string_view line) {
    return line.starts_with("apic_deliver_irq ") &&
           line.find(" delivery_mode 4 ") != std::string_view::npos;
}

// Whether an instruction comes after a block that begins at `begin`: by steps of the walk, of which all but
// the last go to what stands right behind.
bool follows_block(const steps_walked& steps, std::uint64_t begin, std::uint64_t pc) {
    std::vector<std::uint64_t> reached = {begin};
    for (std::size_t i = 0; i < reached.size(); ++i) {
        const std::uint64_t from = reached[i];
        for (auto step = steps.lower_bound({from, 0}); step != steps.end() && step->first == from;
             ++step) {
            if (step->second == pc) {
                return true;
            }
            if (step->second > from && step->second - from < longest_instruction &&
                std::find(reached.begin(), reached.end(), step->second) == reached.end()) {
                reached.push_back(step->second);
            }
        }
    }
    return false;
}

} // namespace

std::vector<address_range> ranges_of(const std::map<std::string, pended_window>& windows) {
    std::set<std::uint64_t> begins;
    for (const auto& [path, window] : windows) {
        begins.insert(window.walked.instructions.begin(), window.walked.instructions.end());
        begins.insert(window.range.end);
    }
    std::vector<address_range> ranges;
    for (std::uint64_t begin : begins) {
        if (ranges.empty() || ranges.back().end < begin) {
            ranges.push_back({begin, begin});
        }
        ranges.back().end = begin + longest_instruction;
    }
    return ranges;
}

raise_analysis::raise_analysis(const std::map<std::string, pended_window>& windows)
    : windows_(windows) {
    for (const auto& [path, window] : windows_) {
        boundaries_[path];
    }
}

void raise_analysis::feed(std::string_view line) {
    if (is_raised_nmi(line)) {
        raised_ = true;
        ++raises_;
        return;
    }
    const std::optional<execution_line> parsed = parse_execution_line(line);
    if (!parsed) {
        return;
    }
    if (parsed->taken_back) {
        if (pending_ == parsed->pc) {
            pending_.reset();
        }
        return;
    }
    if (pending_) {
        execute(*pending_);
    }
    pending_ = parsed->pc;
    if (raised_) {
        note_boundary(parsed->pc);
        raised_ = false;
    }
}

void raise_analysis::note_boundary(std::uint64_t pc) {
    if (inside_ && follows_block(windows_.at(*inside_).walked.steps, *previous_, pc)) {
        boundaries_[*inside_].insert(pc);
    }
}

void raise_analysis::execute(std::uint64_t pc) {
    previous_ = pc;
    if (inside_ && pc == windows_.at(*inside_).range.end) {
        inside_.reset();
    }
    // A walk may have been abandoned: then the next one begins before it has ended.
    for (const auto& [path, window] : windows_) {
        if (pc == window.range.begin) {
            inside_ = path;
        }
    }
}

} // namespace nmisafe::tool
