// SPDX-License-Identifier: MIT
#include "tool/torture/sweep_run.hpp"

#include "tool/emulator/boost_process.hpp" // before Boost.Asio, for what that forgets

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tool/emulator/process.hpp"

namespace nmisafe::tool::torture {

namespace {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

constexpr std::size_t console_kept = 8u << 20;

double seconds_since(clock::time_point begin) {
    return std::chrono::duration<double>(clock::now() - begin).count();
}

class running_sweep {
  public:
    running_sweep(const sweep_command& command,
                  const std::function<void(const sweep_lines&, double)>& show)
        : command_(command), show_(show), pipe_(context_), timer_(context_),
          signals_(context_, SIGINT, SIGTERM, SIGHUP) {}

    sweep_outcome run();

  private:
    void read();
    void tick();
    void stop(const std::string& why);
    void on_end(const process_result& result);

    const sweep_command& command_;
    const std::function<void(const sweep_lines&, double)>& show_;
    asio::io_context context_;
    asio::posix::stream_descriptor pipe_;
    asio::steady_timer timer_;
    asio::signal_set signals_;
    std::array<char, 1u << 16> buffer_{};
    std::function<void()> stop_process_;
    sweep_outcome outcome_;
    clock::time_point armed_ = clock::now();
    clock::time_point last_news_ = clock::now();
    bool has_ended_ = false;
};

sweep_outcome running_sweep::run() {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        outcome_.error = "there is no pipe to be had";
        return outcome_;
    }
    pipe_.assign(ends[0]);
    process_command start;
    start.program = command_.program;
    start.arguments = command_.arguments;
    start.arguments.insert(start.arguments.end(),
                           {"-plugin", fmt::format("file={},fd={},{}", command_.plugin, ends[1],
                                                   command_.plugin_arguments)});
    start.inherited_descriptor = ends[1];
    process_limits limits;
    limits.time = std::chrono::hours(24 * 7);
    limits.output_bytes = command_.output_limit;
    stop_process_ = start_process(
        context_, start, limits,
        [this](std::string_view text) {
            if (outcome_.console.size() < console_kept) {
                outcome_.console += text;
            }
            return true;
        },
        [this](const process_result& result) { on_end(result); });
    ::close(ends[1]);
    signals_.async_wait([this](boost::system::error_code cancelled, int) {
        if (!cancelled) {
            outcome_.interrupted = true;
            stop("interrupted");
        }
    });
    read();
    tick();
    context_.run();
    if (outcome_.lines.is_armed()) {
        outcome_.seconds = seconds_since(armed_);
    }
    return std::move(outcome_);
}

void running_sweep::read() {
    pipe_.async_read_some(asio::buffer(buffer_),
                          [this](boost::system::error_code ended, std::size_t size) {
                              if (ended) {
                                  return;
                              }
                              const bool was_armed = outcome_.lines.is_armed();
                              outcome_.lines.take(std::string_view(buffer_.data(), size));
                              last_news_ = clock::now();
                              if (!was_armed && outcome_.lines.is_armed()) {
                                  armed_ = last_news_;
                              }
                              read();
                          });
}

void running_sweep::tick() {
    timer_.expires_after(std::chrono::milliseconds(200));
    timer_.async_wait([this](boost::system::error_code cancelled) {
        if (cancelled || has_ended_) {
            return;
        }
        const sweep_lines& lines = outcome_.lines;
        if (show_) {
            show_(lines, lines.is_armed() ? seconds_since(armed_) : 0);
        }
        if (command_.timeout_seconds != 0 && seconds_since(last_news_) > command_.timeout_seconds) {
            stop(fmt::format(
                "{} for {} seconds (--timeout)",
                lines.is_armed() ? "no boundary was done"
                : lines.has_passed_16_bit_code()
                    ? "the guest has come there in 16-bit code alone, which is not followed,"
                : lines.has_printed()
                    ? "the guest has not taken the path since it printed --after's text"
                    : "the guest has not taken the path, or not printed --after's text,",
                command_.timeout_seconds));
            return;
        }
        tick();
    });
}

void running_sweep::stop(const std::string& why) {
    if (outcome_.error.empty()) {
        outcome_.error = why;
    }
    stop_process_();
}

void running_sweep::on_end(const process_result& result) {
    has_ended_ = true;
    timer_.cancel();
    signals_.cancel();
    // What is still in the pipe; children that were killed hold its other end no longer.
    boost::system::error_code ignored;
    pipe_.cancel(ignored);
    pipe_.non_blocking(true, ignored);
    for (;;) {
        const ssize_t size = ::read(pipe_.native_handle(), buffer_.data(), buffer_.size());
        if (size <= 0) {
            break;
        }
        outcome_.lines.take(std::string_view(buffer_.data(), static_cast<std::size_t>(size)));
    }
    pipe_.close(ignored);
    if (!outcome_.error.empty()) {
        return;
    }
    outcome_.error = outcome_.lines.error();
    if (!outcome_.error.empty() || outcome_.lines.is_over()) {
        return;
    }
    if (result.end == process_end::not_started) {
        outcome_.error = result.error_output;
    } else if (result.end == process_end::too_much_output) {
        outcome_.error = fmt::format("the guest has printed more than {} bytes (--output-limit)",
                                     command_.output_limit);
    } else {
        const char* const when = outcome_.lines.is_armed()
                                     ? "while its path was swept"
                                     : "before it took the path often enough (--nth)";
        const std::string how = result.end == process_end::signalled
                                    ? fmt::format("of signal {}", result.status)
                                    : fmt::format("with status {}", result.status);
        outcome_.error = fmt::format("the guest ended {}, {}{}{}", how, when,
                                     result.error_output.empty() ? "" : ": ", result.error_output);
        while (!outcome_.error.empty() && outcome_.error.back() == '\n') {
            outcome_.error.pop_back();
        }
    }
}

} // namespace

sweep_outcome run_sweep(const sweep_command& command,
                        const std::function<void(const sweep_lines&, double)>& show) {
    return running_sweep(command, show).run();
}

} // namespace nmisafe::tool::torture
