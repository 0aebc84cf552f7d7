// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/output.hpp"

#include <cerrno>
#include <charconv>
#include <unistd.h>

namespace nmisafe::torture {

namespace {

int descriptor_of_lines = -1;

} // namespace

void send_lines_to(int descriptor) {
    descriptor_of_lines = descriptor;
}

std::string hexadecimal(uint64_t value) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
    return "\"0x" + std::string(digits, end) + '"';
}

void line::name(std::string_view name) {
    (text_ += ",\"").append(name) += "\":";
}

line& line::number(std::string_view what, uint64_t value) {
    return raw(what, std::to_string(value));
}

line& line::address(std::string_view what, uint64_t value) {
    return raw(what, hexadecimal(value));
}

line& line::truth(std::string_view what, bool value) {
    return raw(what, value ? "true" : "false");
}

line& line::text(std::string_view what, std::string_view value) {
    return raw(what, '"' + std::string(value) + '"');
}

line& line::raw(std::string_view what, std::string_view json) {
    name(what);
    text_ += json;
    return *this;
}

void line::send() {
    text_ += "}\n";
    for (size_t done = 0; done < text_.size();) {
        const ssize_t size = ::write(descriptor_of_lines, text_.data() + done, text_.size() - done);
        if (size < 0 && errno != EINTR) {
            ::_exit(1);
        }
        done += size > 0 ? static_cast<size_t>(size) : 0;
    }
}

} // namespace nmisafe::torture
