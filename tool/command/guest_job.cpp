// SPDX-License-Identifier: MIT
#include "tool/command/guest_job.hpp"

#include <fmt/format.h>
#include <stdexcept>

#include "tool/evidence/trace_verdict.hpp"

namespace nmisafe::tool {

guest_job::guest_job(boost::asio::io_context& context, const guest_run& run,
                     const runner_options& options, progress& shown, judged_handler on_judged)
    : context_(context), run_(run), options_(options), shown_(shown),
      on_judged_(std::move(on_judged)) {}

std::filesystem::path guest_job::log_file() const {
    return file_of("", "log");
}

std::filesystem::path guest_job::file_of(const char* stage, const char* extension) const {
    return options_.out /
           fmt::format("{}{}{}.{}", run_.name(), *stage == '\0' ? "" : "-", stage, extension);
}

// Without its logs a run proves nothing: that ends all.
void guest_job::must_be_well(const output_file& file) {
    if (!file.error().empty()) {
        throw std::runtime_error(file.error());
    }
}

void guest_job::start() {
    run(normal_, "", execution_log_kind::none, {}, &guest_job::end_of_normal_run);
}

void guest_job::run(guest& target, const char* stage, execution_log_kind kind,
                    std::vector<address_range> only, void (guest_job::*on_end)()) {
    target.reader = {};
    target.log.open(file_of(stage, "log"));
    must_be_well(target.log);
    if (kind != execution_log_kind::none) {
        execution_log_.open(file_of(stage, "exec"));
        must_be_well(execution_log_);
    }
    process_limits limits;
    limits.time = std::chrono::seconds(options_.timeout_seconds != 0 ? options_.timeout_seconds
                                                                     : run_.entry->timeout_seconds);
    shown_.running(run_, stage, 0, 0);
    const auto self = shared_from_this();
    const execution_log_options log{kind, execution_log_.descriptor(), std::move(only)};
    start_process(
        context_,
        guest_command(run_, options_.images, options_.kernel_options, log,
                      options_.emulators.at(std::string(run_.arch))),
        limits,
        [self, &target, stage](std::string_view bytes) {
            target.log.write(bytes);
            must_be_well(target.log);
            target.reader.feed(bytes);
            const console_content& console = target.reader.content();
            self->shown_.running(self->run_, stage, console.progress_done, console.progress_total);
            // After a panic the machine stands still; there is nothing to wait for.
            return !console.panic;
        },
        [this, self, &target, on_end](const process_result& result) {
            target.reader.finish();
            target.outcome = {result, target.reader.content()};
            if (!result.error_output.empty()) {
                target.log.write("\n[the emulator's standard error]\n" + result.error_output);
            }
            target.log.close();
            must_be_well(target.log);
            if (execution_log_.descriptor() >= 0) {
                execution_log_.check_room(); // QEMU does not say when it could not write
                execution_log_.close();
                must_be_well(execution_log_);
            }
            self->seconds_ += result.time.count();
            ((*self).*on_end)();
        });
}

std::string guest_job::read_log(const char* stage,
                                const std::function<void(std::string_view)>& on_line) {
    const std::filesystem::path file = file_of(stage, "exec");
    const bool read = read_execution_log(file, on_line);
    if (!options_.keep_logs) {
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
    }
    return read ? std::string() : fmt::format("{} cannot be read", file.string());
}

void guest_job::end_of_normal_run() {
    if (!run_.is_logged() || !end_failure(run_, normal_.outcome).empty()) {
        finish();
        return;
    }
    run(logged_, "trace", execution_log_kind::path, normal_.outcome.console.text,
        &guest_job::end_of_trace_run);
}

void guest_job::end_of_trace_run() {
    trace_outcome& trace = trace_.emplace(trace_outcome{logged_.outcome, std::nullopt, {}});
    execution_analysis& analysis =
        trace.analysis.emplace(trace.guest.console.windows, trace.guest.console.measures);
    trace.error = read_log("trace", [&](std::string_view line) { analysis.feed(line); });
    analysis.finish();
    if (trace_failure(run_, normal_.outcome.console, trace).empty()) {
        pended_ = pended_windows(normal_.outcome.console, trace);
    }
    if (pended_.empty()) {
        finish();
        return;
    }
    run(logged_, "raises", execution_log_kind::raises, ranges_of(pended_),
        &guest_job::end_of_raises_run);
}

void guest_job::end_of_raises_run() {
    raises_outcome& raises = raises_.emplace(raises_outcome{logged_.outcome, std::nullopt, {}});
    raise_analysis& analysis = raises.analysis.emplace(pended_);
    raises.error = read_log("raises", [&](std::string_view line) { analysis.feed(line); });
    finish();
}

void guest_job::finish() {
    const judgement judged =
        judge(run_, normal_.outcome, trace_ ? &*trace_ : nullptr, raises_ ? &*raises_ : nullptr);
    shown_.finished(run_, judged.rows, seconds_);
    on_judged_(judged);
}

} // namespace nmisafe::tool
