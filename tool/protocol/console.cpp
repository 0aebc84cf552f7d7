// SPDX-License-Identifier: MIT
#include "tool/protocol/console.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace nmisafe::tool {

namespace {

// Each returns an empty text, or what is wrong with the record.

std::string take_text(const record& line, std::string_view key, std::string& value) {
    const std::string* found = line.find(key);
    if (found == nullptr) {
        return fmt::format("{} is missing", key);
    }
    value = *found;
    return {};
}

std::string take_number(const record& line, std::string_view key, std::uint64_t& value) {
    std::string text;
    if (std::string error = take_text(line, key, text); !error.empty()) {
        return error;
    }
    const std::optional<std::uint64_t> number = parse_number(text);
    if (!number) {
        return fmt::format("{} is not a number", key);
    }
    value = *number;
    return {};
}

std::string take_range(const record& line, std::string_view begin, std::string_view end,
                       address_range& range) {
    std::string error = take_number(line, begin, range.begin);
    return error.empty() ? take_number(line, end, range.end) : error;
}

std::string take_hello(const record& line, std::optional<hello_record>& hello) {
    if (hello) {
        return "a second @hello";
    }
    hello_record taken;
    for (auto [key, value] : {std::pair<std::string_view, std::string*>{"arch", &taken.arch},
                              {"experiment", &taken.experiment},
                              {"policy", &taken.policy},
                              {"without", &taken.without}}) {
        if (std::string error = take_text(line, key, *value); !error.empty()) {
            return error;
        }
    }
    hello = std::move(taken);
    return {};
}

// `what`, then the other fields as they were written.
std::string take_message(const record& line, std::string& message) {
    std::string error = take_text(line, "what", message);
    for (const auto& [key, value] : line.fields) {
        if (key != "what") {
            message += fmt::format(" {}={}", key, value);
        }
    }
    return error;
}

} // namespace

std::optional<std::uint64_t> console_row::number(std::string_view name) const {
    const auto found = std::find_if(numbers.begin(), numbers.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    return found == numbers.end() ? std::nullopt : std::optional(found->second);
}

void console_reader::feed(std::string_view bytes) {
    content_.empty = content_.empty && bytes.empty();
    while (true) {
        const std::size_t newline = bytes.find('\n');
        partial_line_ += bytes.substr(0, newline);
        if (newline == std::string_view::npos) {
            return;
        }
        take_line(partial_line_);
        partial_line_.clear();
        bytes.remove_prefix(newline + 1);
    }
}

void console_reader::finish() {
    if (!partial_line_.empty()) {
        take_line(partial_line_);
        partial_line_.clear();
    }
}

void console_reader::take_line(std::string_view line) {
    if (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    if (!line.starts_with('@')) {
        if (!line.empty()) {
            content_.last_text = line;
        }
        return;
    }
    std::string error;
    if (const std::optional<record> parsed = parse_record(line, error)) {
        error = take_record(*parsed);
    }
    if (!error.empty() && !content_.error) {
        content_.error = fmt::format("{}: \"{}\"", error, printable(line));
    }
}

std::string console_reader::take_record(const record& line) {
    if (content_.done) {
        return "a record after @done";
    }
    // A machine may stop before it knows what it was asked to do.
    if (!content_.hello && line.kind != "hello" && line.kind != "panic") {
        return "the first record is not @hello";
    }
    if (line.kind == "hello") {
        return take_hello(line, content_.hello);
    }
    if (line.kind == "row") {
        return take_row(line);
    }
    if (line.kind == "rips") {
        return take_rips(line);
    }
    if (line.kind == "progress") {
        std::string error = take_number(line, "done", content_.progress_done);
        return error.empty() ? take_number(line, "total", content_.progress_total) : error;
    }
    if (line.kind == "fail") {
        return take_message(line, content_.failures.emplace_back());
    }
    if (line.kind == "panic") {
        std::string message;
        std::string error = take_message(line, message);
        if (!content_.panic) { // the first one is the cause
            content_.panic = std::move(message);
        }
        return error;
    }
    if (line.kind == "window") {
        std::string path;
        address_range range;
        std::string error = take_text(line, "path", path);
        error = error.empty() ? take_range(line, "begin", "end", range) : error;
        if (error.empty() && !content_.windows.emplace(path, range).second) {
            error = "a second @window of this path";
        }
        return error;
    }
    if (line.kind == "measure") {
        std::string name;
        measure_range measure;
        std::string error = take_text(line, "name", name);
        error = error.empty() ? take_range(line, "from", "to", measure.range) : error;
        if (error.empty() && line.find("items") != nullptr) {
            error = take_number(line, "items", measure.items);
            error = error.empty() && measure.items == 0 ? "items is 0" : error;
        }
        if (error.empty() && !content_.measures.emplace(name, measure).second) {
            error = "a second @measure of this name";
        }
        return error;
    }
    if (line.kind == "text") {
        return take_range(line, "begin", "end", content_.text.emplace_back());
    }
    if (line.kind == "done") {
        content_.done = true;
        return {};
    }
    return "unknown record";
}

std::string console_reader::take_row(const record& line) {
    console_row row;
    for (const auto& [key, value] : line.fields) {
        if (key == "path") {
            row.path = value;
            continue;
        }
        const std::optional<std::uint64_t> number = parse_number(value);
        if (!number) {
            return fmt::format("{} is not a number", key);
        }
        row.numbers.emplace_back(key, *number);
    }
    for (std::string_view counter : row_counters) {
        if (!row.number(counter)) {
            return fmt::format("{} is missing", counter);
        }
    }
    if (std::any_of(content_.rows.begin(), content_.rows.end(),
                    [&](const console_row& other) { return other.path == row.path; })) {
        return "a second @row of this path";
    }
    content_.rows.push_back(std::move(row));
    return {};
}

std::string console_reader::take_rips(const record& line) {
    std::string path;
    std::string list;
    std::string error = take_text(line, "path", path);
    error = error.empty() ? take_text(line, "list", list) : error;
    if (!error.empty()) {
        return error;
    }
    std::set<std::uint64_t>& rips = content_.rips[path];
    std::string_view rest = list;
    while (true) {
        const std::size_t comma = rest.find(',');
        const std::optional<std::uint64_t> rip = parse_number(rest.substr(0, comma));
        if (!rip) {
            return "list has an entry that is not a number";
        }
        rips.insert(*rip);
        if (comma == std::string_view::npos) {
            return {};
        }
        rest.remove_prefix(comma + 1);
    }
}

} // namespace nmisafe::tool
