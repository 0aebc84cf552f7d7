// SPDX-License-Identifier: MIT
#include "tool/evidence/execution_log.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

namespace nmisafe::tool {

namespace {

std::optional<std::uint64_t> parse_hexadecimal(std::string_view digits) {
    std::uint64_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, status] = std::from_chars(digits.data(), end, value, 16);
    return status == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

} // namespace

std::optional<execution_line> parse_execution_line(std::string_view line) {
    constexpr std::string_view rewound = "cpu_io_recompile: rewound execution of TB to ";
    if (line.starts_with(rewound)) {
        const std::optional<std::uint64_t> pc = parse_hexadecimal(line.substr(rewound.size()));
        return pc ? std::optional(execution_line{true, *pc}) : std::nullopt;
    }
    const bool stopped = line.starts_with("Stopped execution of TB chain before ");
    // CPU 0 is the one under test.
    if (!stopped && !line.starts_with("Trace 0: ")) {
        return std::nullopt;
    }
    const std::size_t open = line.find('[');
    const std::size_t close = line.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
        return std::nullopt;
    }
    std::string_view inside = line.substr(open + 1, close - open - 1);
    if (!stopped) {
        // cs base/pc/flags/cflags. Both kernels run with a base of 0, so pc is the address as is.
        const std::size_t base_end = inside.find('/');
        if (base_end == std::string_view::npos) {
            return std::nullopt;
        }
        inside.remove_prefix(base_end + 1);
        inside = inside.substr(0, inside.find('/'));
    }
    const std::optional<std::uint64_t> pc = parse_hexadecimal(inside);
    return pc ? std::optional(execution_line{stopped, *pc}) : std::nullopt;
}

std::optional<std::uint64_t> parse_fault_line(std::string_view line) {
    constexpr std::string_view key = " pc=";
    const std::size_t pc = line.find(key);
    const bool faulted = line.find(": v=0e ") != std::string_view::npos ||
                         line.find(": v=0d ") != std::string_view::npos;
    if (!faulted || pc == std::string_view::npos) {
        return std::nullopt;
    }
    line.remove_prefix(pc + key.size());
    return parse_hexadecimal(line.substr(0, line.find(' ')));
}

std::set<std::uint64_t> entered_by_faults(const window_trace& walked) {
    std::set<std::uint64_t> found;
    std::set_difference(walked.after_faults.begin(), walked.after_faults.end(),
                        walked.after_others.begin(), walked.after_others.end(),
                        std::inserter(found, found.end()));
    return found;
}

execution_analysis::execution_analysis(const std::map<std::string, address_range>& windows,
                                       const std::map<std::string, measure_range>& measures) {
    for (const auto& [path, range] : windows) {
        window_followers_.push_back({path, follower{range}});
        window_results_[path];
    }
    for (const auto& [name, measure] : measures) {
        measure_followers_.push_back(follower{measure.range});
        measure_results_.push_back({name, measure.items});
    }
}

void execution_analysis::feed(std::string_view line) {
    const std::optional<execution_line> parsed = parse_execution_line(line);
    if (!parsed) {
        pending_faulted_ = pending_faulted_ || (pending_ && parse_fault_line(line) == pending_);
        return;
    }
    if (parsed->taken_back) {
        if (pending_ == parsed->pc) {
            pending_.reset();
        }
        return;
    }
    finish();
    pending_ = parsed->pc;
}

void execution_analysis::finish() {
    if (pending_) {
        execute(*pending_);
        previous_faulted_ = pending_faulted_;
        pending_faulted_ = false;
        pending_.reset();
    }
}

void execution_analysis::execute(std::uint64_t pc) {
    ++instructions_;
    follow_windows(pc);
    follow_measures(pc);
    previous_ = pc;
}

void execution_analysis::follow_windows(std::uint64_t pc) {
    for (auto& [path, window] : window_followers_) {
        if (window.inside && pc == window.range.end) {
            window.inside = false;
            window_trace& result = window_results_[path];
            result.instructions.merge(window.walk.instructions);
            result.steps.merge(window.walk.steps);
            result.after_faults.merge(window.walk.after_faults);
            result.after_others.merge(window.walk.after_others);
            window.walk = {};
            ++result.times_complete;
        }
        if (window.inside) {
            window.walk.steps.emplace(*previous_, pc);
            (previous_faulted_ ? window.walk.after_faults : window.walk.after_others).insert(pc);
        }
        window.inside = window.inside || pc == window.range.begin;
        if (window.inside) {
            window.walk.instructions.insert(pc);
        }
    }
}

void execution_analysis::follow_measures(std::uint64_t pc) {
    for (std::size_t i = 0; i < measure_followers_.size(); ++i) {
        follower& measure = measure_followers_[i];
        if (measure.inside && pc == measure.range.end) {
            measure_trace& result = measure_results_[i];
            result.largest = std::max(result.largest, measure.count);
            result.smallest =
                result.occurrences == 0 ? measure.count : std::min(result.smallest, measure.count);
            ++result.occurrences;
            measure.inside = false;
        }
        if (!measure.inside && pc == measure.range.begin) {
            measure.inside = true;
            measure.count = 0;
        }
        measure.count += measure.inside ? 1 : 0;
    }
}

bool read_execution_log(const std::filesystem::path& file,
                        const std::function<void(std::string_view)>& on_line) {
    std::ifstream stream(file);
    if (!stream) {
        return false;
    }
    std::string line;
    while (std::getline(stream, line)) {
        on_line(line);
    }
    return stream.eof();
}

} // namespace nmisafe::tool
