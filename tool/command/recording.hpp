// SPDX-License-Identifier: MIT
// A guest from start to end, and its trace on the way to disk.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "tool/emulator/process.hpp"
#include "tool/files/output_file.hpp"
#include "tool/record/live_trace.hpp"
#include "tool/record/qemu_guest.hpp"

namespace nmisafe::tool {

struct recording_options {
    process_command command;
    std::filesystem::path output;
    bool replace = false;
    double duration = 0;
    bool only_on_panic = false;
    unsigned timeout_seconds = 0;
    bool quiet = false;
    bool echo = false; // what the guest prints is shown
    std::string kernel;
};

class recording {
  public:
    recording(boost::asio::io_context& context, const shared_ram& ram, recording_options options);

    void start();
    // When the context has nothing more to do: the program's exit status.
    int status() const { return status_; }

  private:
    using clock = std::chrono::steady_clock;

    void tick();
    void look();
    void begin(found_trace found);
    void read();
    void show(bool is_last);
    void stop(int status, const std::string& why);
    void on_end(const process_result& result);
    void finish();
    void say(const std::string& what) const;

    boost::asio::io_context& context_;
    const shared_ram& ram_;
    recording_options options_;
    boost::asio::steady_timer timer_;
    boost::asio::signal_set signals_;
    std::function<void()> stop_guest_;
    std::optional<trace_writer> writer_;
    std::optional<live_trace> trace_;
    std::string console_; // what the guest has printed before there was a folder
    output_file log_;
    clock::time_point started_;
    clock::time_point found_;
    clock::time_point last_news_;
    clock::time_point last_look_;
    clock::time_point last_shown_;
    std::uint64_t last_written_ = 0;
    std::uint64_t shown_events_ = 0;
    bool has_ended_ = false; // the guest
    bool is_over_ = false;   // why is known: the first reason counts
    bool is_terminal_ = false;
    int status_ = 0;
};

} // namespace nmisafe::tool
