// SPDX-License-Identifier: MIT
#include "tool/protocol/record.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The longest name at the front of `text`, which is shortened by it.
std::string take_name(std::string_view& text) {
    std::size_t length = 0;
    while (length < text.size() && is_name_character(text[length])) {
        ++length;
    }
    std::string name(text.substr(0, length));
    text.remove_prefix(length);
    return name;
}

// A value runs to the closing quote, or without quotes to the next space.
std::optional<std::string> take_value(std::string_view& text, std::string& error) {
    const bool quoted = !text.empty() && text.front() == '"';
    if (quoted) {
        text.remove_prefix(1);
    }
    const std::size_t end = text.find(quoted ? '"' : ' ');
    if (quoted && end == std::string_view::npos) {
        error = "a quote is not closed";
        return std::nullopt;
    }
    std::string value(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + (quoted ? 1 : 0));
    if (!quoted && (value.empty() || value.find('"') != std::string::npos)) {
        error = value.empty() ? "a key has no value" : "a quote inside a value";
        return std::nullopt;
    }
    if (!text.empty() && text.front() != ' ') {
        error = "no space after a quoted value";
        return std::nullopt;
    }
    return value;
}

} // namespace

const std::string* record::find(std::string_view key) const {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const auto& field) { return field.first == key; });
    return found == fields.end() ? nullptr : &found->second;
}

std::optional<record> parse_record(std::string_view line, std::string& error) {
    if (!std::all_of(line.begin(), line.end(), is_printable)) {
        error = "a character that does not print";
        return std::nullopt;
    }
    line.remove_prefix(1);
    record result;
    result.kind = take_name(line);
    if (result.kind.empty() || (!line.empty() && line.front() != ' ')) {
        error = "no kind after @";
        return std::nullopt;
    }
    while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        if (line.empty()) {
            return result;
        }
        std::string key = take_name(line);
        if (key.empty() || line.empty() || line.front() != '=') {
            error = "not key=value";
            return std::nullopt;
        }
        line.remove_prefix(1);
        std::optional<std::string> value = take_value(line, error);
        if (!value) {
            return std::nullopt;
        }
        if (result.find(key) != nullptr) {
            error = fmt::format("key {} twice", key);
            return std::nullopt;
        }
        result.fields.emplace_back(std::move(key), std::move(*value));
    }
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) {
        text.remove_prefix(2);
    }
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, status] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
    if (status != std::errc() || stop != end) {
        return std::nullopt;
    }
    return value;
}

std::string printable(std::string_view text, std::size_t limit) {
    std::string result;
    for (char c : text.substr(0, limit)) {
        result += is_printable(c) ? std::string(1, c)
                                  : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return text.size() > limit ? result + "..." : result;
}

} // namespace nmisafe::tool
