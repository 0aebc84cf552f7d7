// SPDX-License-Identifier: MIT
// One guest run from start to verdict: the normal run, then, where the catalogue asks for it, the
// trace run, and the raises run when a path needs it; after each the reading of its execution log.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "tool/command/runner.hpp"
#include "tool/emulator/emulator.hpp"
#include "tool/files/output_file.hpp"

namespace nmisafe::tool {

class guest_job : public std::enable_shared_from_this<guest_job> {
  public:
    using judged_handler = std::function<void(const judgement&)>;

    guest_job(boost::asio::io_context& context, const guest_run& run, const runner_options& options,
              progress& shown, judged_handler on_judged);

    void start();

    // The normal run's console log.
    std::filesystem::path log_file() const;

  private:
    struct guest {
        console_reader reader;
        output_file log;
        guest_outcome outcome;
    };

    // Runs a guest; `stage` is "", "trace" or "raises", and part of its files' names.
    void run(guest& target, const char* stage, execution_log_kind kind,
             std::vector<address_range> only, void (guest_job::*on_end)());
    static void must_be_well(const output_file& file);
    void end_of_normal_run();
    void end_of_trace_run();
    void end_of_raises_run();
    void finish();

    std::filesystem::path file_of(const char* stage, const char* extension) const;
    // What is wrong with reading the stage's log, or empty. The log is then removed.
    std::string read_log(const char* stage, const std::function<void(std::string_view)>& on_line);

    boost::asio::io_context& context_;
    guest_run run_;
    const runner_options& options_;
    progress& shown_;
    judged_handler on_judged_;
    guest normal_;
    output_file execution_log_;
    guest logged_; // the trace run, then the raises run
    std::optional<trace_outcome> trace_;
    std::map<std::string, pended_window> pended_;
    std::optional<raises_outcome> raises_;
    double seconds_ = 0;
};

} // namespace nmisafe::tool
