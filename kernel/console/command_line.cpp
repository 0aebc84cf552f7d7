// SPDX-License-Identifier: MIT
#include "kernel/console/command_line.hpp"

#include "kernel/console/console.hpp"
#include "kernel/panic/panic.hpp"

namespace kernel {

namespace {

char line_copy[longest_command_line + 1];

constexpr text known_options[] = {"experiment", "policy",  "without",   "mode",     "stack",
                                  "toggles",    "reloads", "megabytes", "spaces",   "late",
                                  "seed",       "tasks",   "event",     "cet",      "part",
                                  "fsgsbase",   "gates",   "trace",     "duration", "path"};

bool is_known(text name) {
    for (const text& known : known_options)
        if (name == known)
            return true;
    return false;
}

bool has(text word, char wanted) {
    for (const char letter : word)
        if (letter == wanted)
            return true;
    return false;
}

} // namespace

void set_command_line(const char* line) {
    size_t length = 0;
    if (line != nullptr)
        while (line[length] != '\0')
            ++length;
    if (length > longest_command_line)
        panic("command line too long", nullptr, length);
    for (size_t i = 0; i < length; ++i)
        line_copy[i] = line[i];
    line_copy[length] = '\0';
}

void refuse_unknown_options() {
    text rest(line_copy);
    while (!rest.empty()) {
        const text word = rest.take_until(' ');
        text value = word;
        if (!has(word, '=') || has(word, '/') || is_known(value.take_until('=')))
            continue;
        print("no option of this kernel: ", word, "\n");
        panic("unknown option", nullptr, 0);
    }
}

text option(text name) {
    text rest(line_copy);
    while (!rest.empty()) {
        text value = rest.take_until(' ');
        if (value.take_until('=') == name)
            return value;
    }
    return {};
}

uint32_t option_number(text name, uint32_t fallback) {
    const text value = option(name);
    if (value.empty())
        return fallback;
    uint64_t number = 0;
    for (const char digit : value) {
        number = number * 10 + static_cast<uint32_t>(digit - '0');
        if (digit < '0' || digit > '9' || number > 0xffffffff)
            panic("an option is no number", nullptr, static_cast<uintptr_t>(number));
    }
    return static_cast<uint32_t>(number);
}

} // namespace kernel
