// SPDX-License-Identifier: MIT
#include "tool/report/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include "tool/files/output_file.hpp"

namespace nmisafe::tool {

namespace {

constexpr const char* clear_line = "\r\x1b[K";

std::size_t terminal_width(std::FILE* stream) {
    winsize size{};
    const bool known = ::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : 80;
}

} // namespace

progress::progress(std::FILE* stream, bool terminal, bool verbose,
                   const std::vector<guest_run>& runs)
    : stream_(stream), terminal_(terminal), verbose_(verbose), runs_(runs.size()), summary_(runs) {
    if (!verbose) {
        print_now(stream_, summary_.head());
    }
}

void progress::running(const guest_run& run, const char* stage, std::uint64_t done,
                       std::uint64_t total) {
    std::string state = stage;
    if (total > 0) {
        state += fmt::format("{}{}/{}", state.empty() ? "" : " ", done, total);
    }
    std::string& shown = running_[run.name()];
    if (shown != state || state.empty()) {
        shown = std::move(state);
        show_status();
    }
}

void progress::finished(const guest_run& run, const std::vector<judged_row>& rows, double seconds) {
    ++finished_;
    running_.erase(run.name());
    end();
    const std::string line = summary_.add(run, rows, seconds);
    if (!verbose_) {
        print_now(stream_, line);
        show_status();
        return;
    }
    for (const judged_row& row : rows) {
        print_now(stream_,
                  fmt::format("[{:>{}}/{}] {}  {}{}{}  {:.1f} s{}{}\n", finished_,
                              std::to_string(runs_).size(), runs_, row.passed ? "passed" : "FAILED",
                              run.name(), row.row.path.empty() ? "" : " ", row.row.path, seconds,
                              row.passed ? "" : "  ", row.reason));
    }
    show_status();
}

void progress::end() {
    if (terminal_) {
        std::fputs(clear_line, stream_);
        std::fflush(stream_); // an error comes up with the next row
    }
}

void progress::show_status() {
    if (!terminal_) {
        return;
    }
    std::string line = fmt::format("[{}/{}]", finished_, runs_);
    for (const auto& [name, state] : running_) {
        line += fmt::format("  {}{}{}", name, state.empty() ? "" : " ", state);
    }
    // A line as wide as the terminal would wrap, and a wrapped line cannot be rewritten.
    line.resize(std::min(line.size(), terminal_width(stream_) - 1));
    print_now(stream_, clear_line + line);
}

} // namespace nmisafe::tool
