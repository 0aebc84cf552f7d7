// SPDX-License-Identifier: MIT
// One line of the console protocol: `@kind key=value key="quoted value" ...` (tool/README.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nmisafe::tool {

struct record {
    std::string kind;
    std::vector<std::pair<std::string, std::string>> fields;

    // Null when there is no such key.
    const std::string* find(std::string_view key) const;
};

// `line` begins with '@'. On a malformed line the result is empty and `error` says what is wrong.
std::optional<record> parse_record(std::string_view line, std::string& error);

// Decimal, or hexadecimal after 0x; the whole text, within 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);

// Text fit for one line of a terminal: other bytes as \xNN, cut after `limit` characters.
std::string printable(std::string_view text, std::size_t limit = 160);

} // namespace nmisafe::tool
