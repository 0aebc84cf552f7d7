// SPDX-License-Identifier: MIT
// A whole trace into one of the formats.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "tool/convert/sink.hpp"

namespace nmisafe::tool {

inline constexpr const char* text_formats[] = {"text",   "perfetto",   "chrome",
                                               "folded", "speedscope", "html"};
inline constexpr const char* folder_formats[] = {"ctf", "ctf2"};

struct conversion_result {
    std::uint64_t events = 0;
    std::uint64_t lost = 0;
    bool is_stopped = false;
};

// Called now and then with how many bytes of the trace are done; false: stop.
using on_progress = std::function<bool(std::uint64_t)>;

// To one of `text_formats`. Throws a trace_error.
conversion_result convert_events(const conversion& how, std::string_view format,
                                 trace_problems& problems, const on_progress& progress);

// All events and losses to a sink of one's own; it is not finished.
conversion_result feed(const trace_folder& folder, trace_sink& to, trace_problems& problems,
                       const on_progress& progress);

// To a folder of CTF that every reader takes. Throws a trace_error.
conversion_result convert_packets(const trace_folder& folder, const std::filesystem::path& to,
                                  std::string_view format, trace_problems& problems,
                                  const on_progress& progress);

} // namespace nmisafe::tool
