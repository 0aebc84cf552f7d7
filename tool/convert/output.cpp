// SPDX-License-Identifier: MIT
#include <charconv>
#include <cstdio>
#include <system_error>

#include "tool/convert/sink.hpp"

namespace nmisafe::tool {

stream_output::stream_output(std::filesystem::path file) : file_(std::move(file)) {
    if (file_.empty()) {
        return;
    }
    // What is no file, as /dev/null or a pipe, cannot be replaced.
    std::error_code error;
    const bool is_new = !std::filesystem::exists(file_, error);
    unfinished_ = is_new || std::filesystem::is_regular_file(file_, error)
                      ? std::filesystem::path(file_.string() + ".unfinished")
                      : file_;
    to_.open(unfinished_);
    if (!to_.error().empty()) {
        throw trace_error(to_.error());
    }
}

stream_output::~stream_output() {
    std::error_code error;
    if (!is_finished_ && unfinished_ != file_) {
        std::filesystem::remove(unfinished_, error);
    }
}

void stream_output::write() {
    write(std::string_view());
}

void stream_output::write(std::string_view bytes) {
    for (const std::string_view one : {std::string_view(buffer_), bytes}) {
        if (one.empty()) {
            continue;
        }
        if (file_.empty()) {
            print_now(stdout, one);
            continue;
        }
        to_.write(one);
        if (!to_.error().empty()) {
            throw trace_error(to_.error());
        }
    }
    buffer_.clear();
}

void stream_output::finish() {
    write();
    if (file_.empty()) {
        return;
    }
    to_.close();
    std::error_code error;
    if (to_.error().empty() && unfinished_ != file_) {
        std::filesystem::rename(unfinished_, file_, error);
    }
    if (!to_.error().empty() || error) {
        throw trace_error(error ? file_.string() + ": " + error.message() : to_.error());
    }
    is_finished_ = true;
}

namespace {

template <typename Number>
void append_in(std::string& to, Number number, int base) {
    char digits[66];
    to.append(digits, std::to_chars(digits, digits + sizeof digits, number, base).ptr);
}

// How many bytes of UTF-8 stand at the beginning, 0: none.
std::size_t utf8_length(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = at(0) < 0x80   ? 1
                               : at(0) < 0xc2 ? 0
                               : at(0) < 0xe0 ? 2
                               : at(0) < 0xf0 ? 3
                               : at(0) < 0xf5 ? 4
                                              : 0;
    if (length > text.size()) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((at(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool is_none =
        length == 3   ? (at(0) == 0xe0 && at(1) < 0xa0) || (at(0) == 0xed && at(1) > 0x9f)
        : length == 4 ? (at(0) == 0xf0 && at(1) < 0x90) || (at(0) == 0xf4 && at(1) > 0x8f)
                      : false;
    return is_none ? 0 : length;
}

} // namespace

void append_decimal(std::string& to, std::uint64_t number) {
    append_in(to, number, 10);
}

void append_hexadecimal(std::string& to, std::uint64_t number) {
    to += "0x";
    append_in(to, number, 16);
}

void append_number(std::string& to, const field_type& field, std::uint64_t number) {
    if (field.shown == ctf::base::hexadecimal) {
        const unsigned bits = 8 * ctf::size_of(field.type);
        append_hexadecimal(to, bits < 64 ? number & ((std::uint64_t{1} << bits) - 1) : number);
    } else if (field.shown == ctf::base::octal) {
        to += '0';
        append_in(to, number, 8);
    } else if (ctf::is_signed(field.type)) {
        append_in(to, static_cast<std::int64_t>(number), 10);
    } else {
        append_in(to, number, 10);
    }
}

void append_json(std::string& to, std::string_view text) {
    to += '"';
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const auto first = static_cast<unsigned char>(text.front());
        if (length == 0) {
            to += "\xef\xbf\xbd";
        } else if (first == '"' || first == '\\') {
            to += '\\';
            to += text.front();
        } else if (first < 0x20) {
            constexpr const char* digits = "0123456789abcdef";
            to += "\\u00";
            to += digits[first >> 4];
            to += digits[first & 15];
        } else {
            to += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    to += '"';
}

} // namespace nmisafe::tool
