// SPDX-License-Identifier: MIT
#include "tool/command/trace_commands.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <unistd.h>

#include "tool/command/run_command.hpp"
#include "tool/convert/convert.hpp"
#include "tool/convert/statistics.hpp"
#include "tool/files/output_file.hpp"

namespace nmisafe::tool {

namespace {

volatile std::sig_atomic_t is_interrupted = 0;

void interrupt(int) {
    is_interrupted = 1;
}

// A line on the terminal that is written again and again, and Ctrl-C.
class watch {
  public:
    explicit watch(std::uint64_t total)
        : total_(total), is_terminal_(::isatty(STDERR_FILENO) != 0) {
        std::signal(SIGINT, interrupt);
        std::signal(SIGTERM, interrupt);
    }
    ~watch() {
        if (has_line_) {
            std::fputs("\r\x1b[K", stderr);
        }
    }
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

    bool operator()(std::uint64_t done) {
        const auto now = std::chrono::steady_clock::now();
        if (is_terminal_ && now - last_ > std::chrono::milliseconds(200)) {
            last_ = now;
            has_line_ = true;
            std::fputs(fmt::format("\r{} of {} MB, {} %\x1b[K", done >> 20, total_ >> 20,
                                   total_ != 0 ? done * 100 / total_ : 100)
                           .c_str(),
                       stderr);
        }
        return is_interrupted == 0;
    }

  private:
    std::uint64_t total_;
    bool is_terminal_;
    bool has_line_ = false;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void say(const std::string& text) {
    std::fputs(("nmisafe: " + text + "\n").c_str(), stderr);
}

// What is wrong with the trace, on standard error.
int tell(const trace_folder& folder, const trace_problems& problems) {
    constexpr std::size_t most_shown = 20;
    for (const std::string& one : folder.warnings()) {
        say(one);
    }
    const std::size_t shown = std::min(problems.kept().size(), most_shown);
    for (std::size_t i = 0; i < shown; ++i) {
        say(folder.path().string() + "/" + problems.kept()[i]);
    }
    if (problems.count() > shown) {
        say(fmt::format("and {} problems more", problems.count() - shown));
    }
    return problems.count() != 0 || !folder.warnings().empty() ? exit_some_failed : exit_all_passed;
}

template <typename List>
bool is_in(const List& list, const std::string& one) {
    return std::find(std::begin(list), std::end(list), one) != std::end(list);
}

int convert(const convert_options& options) {
    const trace_folder folder(options.trace);
    trace_problems problems;
    watch progress(folder.bytes());
    conversion_result result;
    if (is_in(folder_formats, options.format)) {
        if (options.out.empty()) {
            return refuse("a trace of CTF is a folder: --out says which");
        }
        result = convert_packets(folder, options.out, options.format, problems, std::ref(progress));
    } else {
        if (options.out.empty() && options.format == "perfetto" && ::isatty(STDOUT_FILENO) != 0) {
            return refuse("Perfetto's format is nothing for a terminal: --out says where it goes");
        }
        symbols names(folder.description(), {options.kernel, options.symbols});
        stream_output out(options.out);
        result = convert_events({folder, names, out}, options.format, problems, std::ref(progress));
        for (const std::string& one : names.missing()) {
            say(one);
        }
    }
    if (result.is_stopped) {
        return exit_interrupted;
    }
    return tell(folder, problems);
}

int stats(const stats_options& options) {
    const trace_folder folder(options.trace);
    trace_problems problems;
    watch progress(folder.bytes());
    statistics found(folder);
    if (feed(folder, found, problems, std::ref(progress)).is_stopped) {
        return exit_interrupted;
    }
    found.finish();
    print_now(stdout, options.json ? found.to_json(problems) : found.to_text(problems));
    return tell(folder, problems);
}

} // namespace

std::vector<std::string> convert_formats() {
    std::vector<std::string> all(std::begin(folder_formats), std::end(folder_formats));
    all.insert(all.end(), std::begin(text_formats), std::end(text_formats));
    return all;
}

int convert_command(const convert_options& options) {
    try {
        return convert(options);
    } catch (const trace_error& error) {
        return refuse(error.what());
    }
}

int stats_command(const stats_options& options) {
    try {
        return stats(options);
    } catch (const trace_error& error) {
        return refuse(error.what());
    }
}

} // namespace nmisafe::tool
