// SPDX-License-Identifier: MIT
#include "tool/command/recording.hpp"

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <limits>
#include <unistd.h>

#include "tool/command/run_command.hpp"

namespace nmisafe::tool {

namespace {

using namespace std::chrono_literals;
using trace_descriptor::machine_state;

// Buffers hold some milliseconds of the fastest writers, and a poll that finds nothing costs microseconds.
constexpr auto between_polls = 2ms;
constexpr auto between_searches = 20ms;
constexpr auto between_lines = 1s;

double seconds(std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
}

std::string lost_text(const live_counts& counts) {
    if (counts.all_lost() == 0) {
        return "none lost";
    }
    std::string text = fmt::format("{} lost (", counts.all_lost());
    const char* separator = "";
    for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
        if (counts.lost[i] != 0) {
            text += fmt::format("{}{} {}", separator, loss_names[i], counts.lost[i]);
            separator = ", ";
        }
    }
    return text + ")";
}

std::string last_lines(const std::string& text) {
    const std::size_t begin =
        text.size() > 400 ? text.find('\n', text.size() - 400) : std::string::npos;
    return text.substr(begin == std::string::npos ? 0 : begin + 1);
}

} // namespace

recording::recording(boost::asio::io_context& context, const shared_ram& ram,
                     recording_options options)
    : context_(context), ram_(ram), options_(std::move(options)), timer_(context),
      signals_(context), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

// Not by what throws where standard error cannot be written: the trace goes on.
void recording::say(const std::string& what) const {
    std::fputs(
        fmt::format("{}nmisafe: {}\n", is_terminal_ && !options_.quiet ? "\r\033[K" : "", what)
            .c_str(),
        stderr);
}

void recording::start() {
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
    signals_.async_wait([this](boost::system::error_code cancelled, int) {
        if (!cancelled) {
            stop(exit_interrupted, trace_ ? "" : "interrupted before there was a trace");
        }
    });
    process_limits limits;
    limits.time = std::chrono::hours(24 * 365);
    limits.output_bytes = limits.file_bytes = std::numeric_limits<std::int64_t>::max();
    started_ = last_news_ = clock::now();
    stop_guest_ = start_process(
        context_, options_.command, limits,
        [this](std::string_view bytes) {
            if (log_.descriptor() >= 0) {
                log_.write(bytes);
            } else if (console_.size() < (16u << 20)) {
                console_ += bytes;
            }
            if (options_.echo) {
                print_now(stdout, bytes);
            }
            return true;
        },
        [this](const process_result& result) { on_end(result); });
    tick();
}

void recording::tick() {
    if (has_ended_) {
        return;
    }
    try {
        if (!trace_) {
            look();
        } else {
            read();
        }
    } catch (const std::exception& error) { // no room on the disk: the guest need not go on
        stop(exit_cannot_run, error.what());
        trace_.reset();
    }
    timer_.expires_after(between_polls);
    timer_.async_wait([this](boost::system::error_code cancelled) {
        if (!cancelled) {
            tick();
        }
    });
}

void recording::look() {
    const clock::time_point now = clock::now();
    if (is_over_ || now - last_look_ < between_searches) {
        return;
    }
    last_look_ = now;
    search_result found = find_traces(ram_.memory(), ram_.touched());
    // Of several the one that has buffers: another may lie in what a boot loader has left.
    for (found_trace& one : found.traces) {
        if (one.descriptor().place_count != 0 && one.descriptor().type_length != 0 &&
            ram_.memory().find(one.physical, one.bytes.size()) != nullptr) {
            begin(std::move(one));
            return;
        }
    }
    if (options_.timeout_seconds != 0 &&
        now - started_ > std::chrono::seconds(options_.timeout_seconds)) {
        const bool is_stray = found.traces.empty() && !found.strays.empty();
        stop(exit_cannot_run,
             fmt::format("no trace in the guest's memory after {} seconds (--timeout){}; it has "
                         "printed:\n{}",
                         options_.timeout_seconds,
                         is_stray ? ": there is a descriptor, but not where it says that it lies"
                                  : "",
                         last_lines(console_)));
    }
}

void recording::begin(found_trace found) {
    std::vector<std::string> problems;
    trace_description about = describe(found.descriptor(), problems);
    about.kernel = options_.kernel;
    writer_.emplace(options_.output, about, options_.replace);
    trace_.emplace(ram_.memory(), std::move(found), options_.only_on_panic, *writer_);
    trace_->problems().insert(trace_->problems().begin(), problems.begin(), problems.end());
    log_.open(options_.output / ".console.log"); // readers ignore it
    log_.write(console_);
    found_ = last_news_ = last_shown_ = clock::now();
}

void recording::read() {
    const clock::time_point now = clock::now();
    if (is_over_) {
        return;
    }
    if (!trace_->is_there()) {
        stop(exit_some_failed,
             "the trace's descriptor has changed: the guest has started anew, or gone wild");
        return;
    }
    const machine_state state = trace_->state();
    static_cast<void>(trace_->poll());
    if (trace_->written() != last_written_) {
        last_written_ = trace_->written();
        last_news_ = now;
    }
    if (now - last_shown_ >= between_lines) {
        show(false);
    }
    if (state == machine_state::panicked) {
        stop(options_.only_on_panic ? exit_all_passed : exit_some_failed, "the guest has panicked");
    } else if (state == machine_state::ended) {
        stop(options_.only_on_panic ? exit_some_failed : exit_all_passed,
             options_.only_on_panic ? "the guest has ended without a panic" : "");
    } else if (options_.duration > 0 && seconds(now - found_) >= options_.duration) {
        stop(options_.only_on_panic ? exit_some_failed : exit_all_passed,
             options_.only_on_panic ? "the time is over, and the guest has not panicked" : "");
    } else if (options_.timeout_seconds != 0 &&
               now - last_news_ > std::chrono::seconds(options_.timeout_seconds)) {
        stop(exit_some_failed,
             fmt::format("the guest has written no event for {} seconds (--timeout): it hangs, or "
                         "has nothing to say",
                         options_.timeout_seconds));
    }
}

void recording::show(bool is_last) {
    const clock::time_point now = clock::now();
    const live_counts counts = trace_->counts();
    const double time = is_last ? seconds(now - found_) : seconds(now - last_shown_);
    const std::uint64_t events = is_last ? counts.events : counts.events - shown_events_;
    const double rate = static_cast<double>(events) / std::max(time, 1e-3);
    last_shown_ = now;
    shown_events_ = counts.events;
    if (options_.quiet) {
        return;
    }
    std::fputs(fmt::format("{}{:.1f} s: {} events, {:.0f} a second, {}{}",
                           is_terminal_ ? "\r\033[K" : "", seconds(now - found_), counts.events,
                           rate, lost_text(counts), is_terminal_ && !is_last ? "" : "\n")
                   .c_str(),
               stderr);
}

// The guest's memory stays as it is when the guest is gone.
void recording::stop(int status, const std::string& why) {
    if (is_over_) {
        return;
    }
    is_over_ = true;
    status_ = status;
    if (!why.empty()) {
        say(why);
    }
    stop_guest_();
}

void recording::on_end(const process_result& result) {
    has_ended_ = true;
    timer_.cancel();
    signals_.cancel();
    if (!is_over_ && result.end == process_end::not_started) {
        is_over_ = true;
        status_ = refuse(result.error_output);
        return;
    }
    // A guest that is short may be over before anybody has looked.
    try {
        if (!trace_ && !is_over_) {
            last_look_ = {};
            look();
        }
        finish();
    } catch (const std::exception& error) {
        status_ = refuse(error.what());
        return;
    }
    if (is_over_) {
        return;
    }
    if (!trace_) {
        status_ = refuse(fmt::format(
            "the guest has ended ({} {}) without a trace in its memory; it has printed:\n{}{}",
            result.end == process_end::signalled ? "signal" : "status", result.status,
            last_lines(console_), result.error_output));
        return;
    }
    const machine_state state = trace_->state();
    if (state == machine_state::panicked) {
        say("the guest has panicked");
        status_ = options_.only_on_panic ? exit_all_passed : exit_some_failed;
    } else if (state == machine_state::running) {
        say(fmt::format("the guest has died ({} {}): {}",
                        result.end == process_end::signalled ? "signal" : "status", result.status,
                        result.error_output.empty() ? "it said nothing" : result.error_output));
        status_ = exit_some_failed;
    } else if (options_.only_on_panic) {
        say("the guest has ended without a panic");
        status_ = exit_some_failed;
    }
}

void recording::finish() {
    if (!trace_) {
        return;
    }
    trace_->finish();
    writer_->finish();
    log_.close();
    show(true);
    constexpr std::size_t most = 20;
    const std::vector<std::string>& problems = trace_->problems();
    for (std::size_t i = 0; i < std::min(problems.size(), most); ++i) {
        say(problems[i]);
    }
    if (problems.size() > most) {
        say(fmt::format("and {} more of this kind", problems.size() - most));
    }
    if (!problems.empty() && status_ == exit_all_passed) {
        status_ = exit_some_failed;
    }
    if (const std::uint64_t bytes = trace_->counts().uncommitted; bytes != 0) {
        say(fmt::format("left out: {} bytes behind events that were never completed", bytes));
    }
    print_now(stdout, fmt::format("trace: {}\n", options_.output.string()));
}

} // namespace nmisafe::tool
