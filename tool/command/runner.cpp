// SPDX-License-Identifier: MIT
#include "tool/command/runner.hpp"

#include <utility> // Boost.Asio 1.74 forgets it

#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "tool/command/guest_job.hpp"

namespace nmisafe::tool {

namespace {

// Everything happens in one thread, in the handlers of one io_context.
class runner {
  public:
    runner(const std::vector<guest_run>& runs, const runner_options& options, progress& shown)
        : runs_(runs), options_(options), shown_(shown), judgements_(runs.size()),
          logs_(runs.size()) {}

    runner_result run() {
        signals_.async_wait([this](boost::system::error_code cancelled, int) {
            if (!cancelled) {
                interrupted_ = true;
                context_.stop(); // the children die with this program
            }
        });
        for (unsigned job = 0; job < options_.jobs; ++job) {
            start_next();
        }
        try {
            context_.run();
        } catch (...) {
            shown_.end();
            throw; // the children die with this program
        }
        shown_.end();
        return {collect(), interrupted_};
    }

  private:
    void start_next() {
        if (next_ == runs_.size()) {
            if (finished_ == runs_.size()) {
                signals_.cancel();
            }
            return;
        }
        const std::size_t index = next_++;
        const auto job = std::make_shared<guest_job>(context_, runs_[index], options_, shown_,
                                                     [this, index](const judgement& judged) {
                                                         judgements_[index] = judged;
                                                         ++finished_;
                                                         start_next();
                                                     });
        logs_[index] = job->log_file().string();
        job->start();
    }

    report collect() const {
        report finished;
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            const auto emulator = options_.emulators.find(runs_[i].arch);
            for (const judged_row& row : judgements_[i].rows) {
                finished.rows.push_back(
                    {row, emulator == options_.emulators.end() ? "" : emulator->second.version,
                     logs_[i]});
            }
            finished.costs.insert(finished.costs.end(), judgements_[i].costs.begin(),
                                  judgements_[i].costs.end());
        }
        return finished;
    }

    const std::vector<guest_run>& runs_;
    const runner_options& options_;
    progress& shown_;
    std::vector<judgement> judgements_;
    std::vector<std::string> logs_;
    boost::asio::io_context context_;
    boost::asio::signal_set signals_{context_, SIGINT, SIGTERM, SIGHUP};
    std::size_t next_ = 0;
    std::size_t finished_ = 0;
    bool interrupted_ = false;
};

} // namespace

runner_result run_guests(const std::vector<guest_run>& runs, const runner_options& options,
                         progress& shown) {
    return runner(runs, options, shown).run();
}

} // namespace nmisafe::tool
