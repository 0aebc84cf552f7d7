// SPDX-License-Identifier: MIT
#include "tool/evidence/verdict.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>

#include "tool/emulator/emulator.hpp"
#include "tool/evidence/trace_verdict.hpp"

namespace nmisafe::tool {

namespace {

std::string process_failure(const process_result& process) {
    switch (process.end) {
    case process_end::exited:
        return {};
    case process_end::signalled:
        if (process.status == SIGXFSZ) {
            return "the execution log grew beyond the limit";
        }
        return fmt::format("the emulator was ended by signal {}", process.status);
    case process_end::timed_out:
        return fmt::format("timeout: no end within {:.0f} s", process.time.count());
    case process_end::too_much_output:
        return "the guest printed too much";
    case process_end::stopped:
        return "the emulator was stopped";
    case process_end::not_started:
        return fmt::format("the emulator did not start: {}", printable(process.error_output));
    }
    return "unknown end of the emulator";
}

std::string hello_failure(const guest_run& run, const hello_record& hello) {
    const std::string_view without = run.entry->without.empty() ? "none" : run.entry->without;
    struct {
        std::string_view key, asked, said;
    } const pairs[] = {
        {"arch", run.arch, hello.arch},
        {"experiment", run.entry->experiment, hello.experiment},
        {"policy", run.policy, hello.policy},
        {"without", without, hello.without},
    };
    for (const auto& pair : pairs) {
        if (pair.asked != pair.said) {
            return fmt::format("another guest answered: {} is {}, asked for {}", pair.key,
                               printable(pair.said), pair.asked);
        }
    }
    return {};
}

// The last thing it said helps whoever reads "timeout".
std::string last_words(const console_content& console) {
    return console.last_text.empty()
               ? std::string()
               : fmt::format("; last line: \"{}\"", printable(console.last_text, 80));
}

std::string safe_failure(const catalogue_entry& entry, const console_row& row,
                         const console_content& console) {
    for (std::string_view counter : {"failures", "nested", "lost", "corrupted", "unsafe_irets"}) {
        if (entry.latched && counter == "unsafe_irets") {
            continue;
        }
        if (row.number(counter).value_or(1) != 0) {
            std::string reason = fmt::format("{} is {}", counter, row.number(counter).value_or(1));
            if (!console.failures.empty()) {
                reason += ": " + console.failures.front();
            }
            return reason;
        }
    }
    if (!console.failures.empty()) {
        return console.failures.front();
    }
    const std::vector<std::string_view> paths = split_words(entry.paths);
    const bool named =
        paths.empty() || std::find(paths.begin(), paths.end(), row.path) != paths.end();
    if (entry.latched && named && row.number("unsafe_irets").value_or(0) == 0) {
        return "no IRET unblocked NMIs: the latch was not needed";
    }
    const std::vector<std::string_view> quiet = split_words(entry.paths_without_nmis);
    const bool sends_nmis = std::find(quiet.begin(), quiet.end(), row.path) == quiet.end();
    if (sends_nmis && row.number("nmis_handled").value_or(0) == 0) {
        return "no NMI was handled";
    }
    if (entry.counts_boundaries && row.number("boundaries").value_or(0) == 0) {
        return "no boundary was tried";
    }
    return {};
}

std::string control_failure(const catalogue_entry& entry, const console_row& row) {
    const std::optional<std::uint64_t> symptom = row.number(entry.symptom);
    if (!symptom) {
        return fmt::format("the row has no number {}", entry.symptom);
    }
    return *symptom > 0
               ? std::string()
               : fmt::format("the control did not show its symptom: {} is 0", entry.symptom);
}

std::string missing_path(const catalogue_entry& entry, const console_content& console) {
    for (std::string_view path : split_words(entry.paths)) {
        if (std::none_of(console.rows.begin(), console.rows.end(),
                         [&](const console_row& row) { return row.path == path; })) {
            return fmt::format("no @row of path {}", path);
        }
    }
    return {};
}

} // namespace

std::string end_failure(const guest_run& run, const guest_outcome& outcome) {
    const console_content& console = outcome.console;
    if (console.panic) {
        return fmt::format("panic: {}", *console.panic);
    }
    if (std::string reason = process_failure(outcome.process); !reason.empty()) {
        return reason + last_words(console);
    }
    if (console.error) {
        return fmt::format("bad console: {}", *console.error);
    }
    const int status = outcome.process.status;
    std::string end = fmt::format("exit status {}", status);
    if (!outcome.process.error_output.empty()) {
        end += fmt::format(": {}", printable(outcome.process.error_output));
    }
    if (console.empty) {
        return fmt::format("the console is empty ({})", end);
    }
    if (!console.hello) {
        return fmt::format("no @hello ({})", end) + last_words(console);
    }
    if (std::string reason = hello_failure(run, *console.hello); !reason.empty()) {
        return reason;
    }
    if (!console.done) {
        return fmt::format("guest reset or stopped without @done ({})", end) + last_words(console);
    }
    return status == guest_success_status
               ? std::string()
               : fmt::format("@done, but {} instead of {}", end, guest_success_status);
}

judgement judge(const guest_run& run, const guest_outcome& outcome, const trace_outcome* trace,
                const raises_outcome* raises) {
    const catalogue_entry& entry = *run.entry;
    const console_content& console = outcome.console;
    std::string reason = end_failure(run, outcome);
    if (!reason.empty() && !console.failures.empty()) {
        reason += "; it had said: " + console.failures.front();
    }
    if (reason.empty() && console.rows.empty()) {
        reason = "no @row";
    }
    if (reason.empty()) {
        reason = missing_path(entry, console);
    }
    if (reason.empty() && run.is_logged()) {
        reason = trace == nullptr ? "no trace run" : trace_failure(run, console, *trace);
    }
    if (reason.empty() && run.is_logged() && !pended_windows(console, *trace).empty()) {
        reason = raises == nullptr ? "no raises run" : raises_failure(run, console, *raises);
    }
    judgement result;
    for (const console_row& row : console.rows) {
        judged_row judged{run, row, false, reason, std::nullopt};
        if (judged.reason.empty()) {
            judged.reason = entry.expected == expectation::safe ? safe_failure(entry, row, console)
                                                                : control_failure(entry, row);
        }
        if (reason.empty() && run.is_logged()) {
            const std::string uncovered = coverage_failure(console, *trace, raises, judged);
            judged.reason = judged.reason.empty() ? uncovered : judged.reason;
        }
        judged.passed = judged.reason.empty();
        result.rows.push_back(std::move(judged));
    }
    if (result.rows.empty()) {
        result.rows.push_back({run, {}, false, reason, std::nullopt});
    }
    for (judged_row& judged : result.rows) {
        judged.said = judged.passed ? std::vector<std::string>() : console.failures;
    }
    if (reason.empty() && run.is_logged()) {
        result.costs = costs_of(run, *trace->analysis);
    }
    return result;
}

} // namespace nmisafe::tool
