// SPDX-License-Identifier: MIT
#include "tool/command/run_command.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <unistd.h>

#include "tool/command/runner.hpp"
#include "tool/emulator/emulator.hpp"
#include "tool/files/folder_lock.hpp"
#include "tool/files/output_file.hpp"

namespace nmisafe::tool {

namespace {

// What a run needs and does not have, or empty.
std::string find_missing(const std::vector<guest_run>& runs, const run_options& options,
                         runner_options& running) {
    for (const guest_run& run : runs) {
        const std::filesystem::path image = image_file(options.images, run);
        if (!std::filesystem::is_regular_file(image)) {
            return fmt::format("there is no image {} (build the kernel first)", image.string());
        }
        if (!running.emulators.contains(run.arch)) {
            std::string error;
            const std::optional<qemu> emulator = ask_version(emulator_program(run.arch), error);
            if (!emulator) {
                return error;
            }
            running.emulators.emplace(run.arch, *emulator);
        }
    }
    return {};
}

// Which --kernel-option would do nothing in which rows. Empty: none in any.
struct idle_option {
    std::string text;
    bool everywhere = false;
};
std::vector<idle_option> find_idle_options(const std::vector<guest_run>& runs,
                                           const std::vector<std::string>& options) {
    std::vector<idle_option> found;
    for (const std::string& option : options) {
        const std::string name = option.substr(0, option.find('='));
        std::vector<std::string> rows;
        for (const guest_run& run : runs) {
            if (has_own_option(run, name)) {
                rows.push_back(run.name());
            }
        }
        if (rows.size() == runs.size()) {
            found.push_back(
                {fmt::format("--kernel-option {}: each row has its own {}", option, name), true});
        } else if (!rows.empty()) {
            found.push_back({fmt::format("--kernel-option {} is not for what has its own: {}",
                                         option, fmt::join(rows, ", "))});
        }
    }
    return found;
}

// A kernel that traces itself takes another way at each event: a packet ends, a buffer is full. So
// no instruction of one walk can be asked for in others. True if that leaves logs out.
bool leave_out_logs(std::vector<guest_run>& runs, const std::vector<std::string>& options) {
    const bool traces = std::any_of(options.begin(), options.end(), [](const std::string& option) {
        return option.starts_with("trace=");
    });
    bool is_left_out = false;
    for (guest_run& run : runs) {
        is_left_out = is_left_out || (traces && run.is_logged());
        run.unlogged = traces;
    }
    return is_left_out;
}

// Not by fmt::print(), which throws where standard error cannot be written: the status still tells.
void complain(const std::string& why) {
    std::fputs(fmt::format("nmisafe: {}\n", why).c_str(), stderr);
}

} // namespace

int refuse(const std::string& why) {
    complain(why);
    return exit_cannot_run;
}

int run_command(const run_options& options) {
    std::vector<guest_run> runs = select(catalogue(), options.wanted);
    if (runs.empty()) {
        return refuse("no experiment matches this choice (see --list)");
    }
    for (const idle_option& idle : find_idle_options(runs, options.kernel_options)) {
        if (idle.everywhere) {
            return refuse(idle.text);
        }
        complain(idle.text);
    }
    if (leave_out_logs(runs, options.kernel_options)) {
        complain("with trace= neither are boundaries compared with the instructions of a logged "
                 "walk nor costs counted");
    }
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (error) {
        return refuse(fmt::format("{}: {}", options.out.string(), error.message()));
    }
    folder_lock lock;
    if (const std::string reason = lock.take(options.out); !reason.empty()) {
        return refuse(reason);
    }
    // An old report beside a run that came to nothing would read as its result.
    const std::filesystem::path report_file = options.out / "report.json";
    const std::filesystem::path tables_file = options.out / "report.txt";
    std::filesystem::remove(report_file, error);
    std::filesystem::remove(tables_file, error);

    runner_options running{options.images,        options.out,       {},
                           options.jobs,          options.keep_logs, options.timeout_seconds,
                           options.kernel_options};
    if (const std::string missing = find_missing(runs, options, running); !missing.empty()) {
        return refuse(missing);
    }
    const char* const terminal = std::getenv("TERM");
    const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
    progress shown(stdout, !dumb && ::isatty(STDOUT_FILENO) == 1, options.verbose, runs);
    const runner_result result = run_guests(runs, running, shown);
    if (result.interrupted) {
        complain("interrupted, no report");
        return exit_interrupted;
    }
    const std::string tables =
        fmt::format("{}\n{}\n", shown.all().text(), tables_text(result.finished));
    const std::string verdict = verdict_text(result.finished);
    print_now(stdout, fmt::format("\n{}{}", options.verbose ? tables : "", verdict));
    for (const auto& [file, text] :
         {std::pair{tables_file, tables + verdict}, {report_file, report_json(result.finished)}}) {
        if (const std::string reason = write_whole(file, text); !reason.empty()) {
            return refuse(reason);
        }
    }
    print_now(stdout, fmt::format("report: {}, its tables: {}\n", report_file.string(),
                                  tables_file.string()));
    return failed_rows(result.finished) == 0 ? exit_all_passed : exit_some_failed;
}

} // namespace nmisafe::tool
