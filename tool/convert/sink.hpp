// SPDX-License-Identifier: MIT
// Where the events of a trace go to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tool/files/output_file.hpp"
#include "tool/symbols/symbols.hpp"
#include "tool/trace/trace_folder.hpp"

namespace nmisafe::tool {

// Text or bytes on their way to a file or to standard output. Throws a trace_error where there is no room.
class stream_output {
  public:
    // Empty: standard output. A file is there when it is whole.
    explicit stream_output(std::filesystem::path file);
    ~stream_output();
    stream_output(const stream_output&) = delete;
    stream_output& operator=(const stream_output&) = delete;

    // To be appended to; then written, when it is long enough.
    std::string& buffer() { return buffer_; }
    void write_when_full() {
        if (buffer_.size() >= enough) {
            write();
        }
    }
    // At once, behind what is in the buffer.
    void write(std::string_view bytes);
    void finish();

  private:
    static constexpr std::size_t enough = 1 << 18;
    void write();

    std::filesystem::path file_;
    std::filesystem::path unfinished_;
    output_file to_;
    std::string buffer_;
    bool is_finished_ = false;
};

class trace_sink {
  public:
    virtual ~trace_sink() = default;
    virtual void event(const trace_event& one) = 0;
    virtual void loss(const trace_loss& one) = 0;
    virtual void finish() = 0;
};

struct conversion {
    const trace_folder& folder;
    symbols& names;
    stream_output& out;
};

std::unique_ptr<trace_sink> make_text_sink(const conversion& how);
std::unique_ptr<trace_sink> make_chrome_sink(const conversion& how);
std::unique_ptr<trace_sink> make_perfetto_sink(const conversion& how);
std::unique_ptr<trace_sink> make_html_sink(const conversion& how);
std::unique_ptr<trace_sink> make_folded_sink(const conversion& how);
// Of one CPU after the other: `cpu()` before the events of each.
class speedscope_sink : public trace_sink {
  public:
    virtual void begin(std::uint32_t cpu) = 0;
};
std::unique_ptr<speedscope_sink> make_speedscope_sink(const conversion& how);

// "0x12" of a number, decimal, octal or hexadecimal as the field is shown.
void append_number(std::string& to, const field_type& field, std::uint64_t number);
void append_decimal(std::string& to, std::uint64_t number);
void append_hexadecimal(std::string& to, std::uint64_t number);
// In quotes, as JSON has it. Bytes that are no UTF-8 become U+FFFD.
void append_json(std::string& to, std::string_view text);

} // namespace nmisafe::tool
