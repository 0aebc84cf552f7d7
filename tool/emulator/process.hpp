// SPDX-License-Identifier: MIT
// A child process with its output, a deadline and a limit on what it may print. It never outlives
// this program, and neither do processes it starts itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace boost::asio {
class io_context; // its header costs most who include this one a third of their compile time
}

namespace nmisafe::tool {

struct process_command {
    std::string program; // a path, or a name looked up in PATH
    std::vector<std::string> arguments = {};
    std::filesystem::path folder = {}; // where it runs; empty: here
    int inherited_descriptor = -1;     // a file that is open in it too, under the same number
};

struct process_limits {
    std::chrono::milliseconds time{60000};
    std::uint64_t output_bytes = 16u << 20;
    std::uint64_t file_bytes = 1u << 30; // of any one file it writes (QEMU's execution log)
};

enum class process_end : std::uint8_t {
    exited,          // status is its exit status
    signalled,       // status is the signal
    timed_out,       // killed
    too_much_output, // killed
    stopped,         // killed, because on_output said so, or who started it
    not_started,     // error_output says why
};

struct process_result {
    process_end end = process_end::not_started;
    int status = 0;
    std::string error_output; // what it wrote to standard error, at most 64 KiB
    std::chrono::duration<double> time{0};
};

// Both are called from the io_context's thread; `on_end` once, after the last `on_output`.
// The process is killed when `on_output` returns false.
using output_handler = std::function<bool(std::string_view)>;
using end_handler = std::function<void(const process_result&)>;

// What it returns ends the process from outside, as `stopped`; when it has ended nothing.
std::function<void()> start_process(boost::asio::io_context& context,
                                    const process_command& command, const process_limits& limits,
                                    output_handler on_output, end_handler on_end);

} // namespace nmisafe::tool
