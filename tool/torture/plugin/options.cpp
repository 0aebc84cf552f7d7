// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/options.hpp"

#include <cstdlib>

namespace nmisafe::torture {

namespace {

// Text comes in hexadecimal: the emulator takes a comma for a separator.
std::string decode(const std::string& digits) {
    std::string text;
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
        text += static_cast<char>(std::strtoul(digits.substr(i, 2).c_str(), nullptr, 16));
    }
    return text;
}

bool take_begin(const std::string& value, uint64_t number, options& to) {
    static const std::pair<const char*, place> names[] = {{"syscall", place::syscall},
                                                          {"sysenter", place::sysenter},
                                                          {"timer", place::timer},
                                                          {"nmi", place::nmi}};
    for (const auto& [name, where] : names) {
        if (value == name) {
            to.begin = where;
            return true;
        }
    }
    if (value.starts_with("gate:")) {
        to.begin = place::gate;
        to.vector = static_cast<unsigned>(std::strtoul(value.c_str() + 5, nullptr, 0));
        return to.vector < 256;
    }
    to.begin = place::address;
    to.begin_address = number;
    return number != 0;
}

bool take(const std::string& name, const std::string& value, options& to) {
    const uint64_t number = std::strtoull(value.c_str(), nullptr, 0);
    if (name == "fd") {
        to.descriptor = static_cast<int>(number);
    } else if (name == "begin") {
        return take_begin(value, number, to);
    } else if (name == "at") {
        to.in_user_mode = value == "user";
        to.begin_address = number;
    } else if (name == "end") {
        to.end = value == "user"     ? path_end::user
                 : value == "return" ? path_end::by_itself
                                     : path_end::address;
        to.end_address = number;
    } else if (name == "nth") {
        to.nth = number;
    } else if (name == "after") {
        to.after = decode(value);
    } else if (name == "raise") {
        to.raised = value == "nmi"  ? event::nmi
                    : value == "mc" ? event::machine_check
                                    : event::interrupt;
        to.raised_vector = to.raised == event::interrupt ? static_cast<unsigned>(number) : 0;
    } else if (name == "fork") {
        to.by_fork = number != 0;
    } else if (name == "latched") {
        to.second_latched = number != 0;
    } else if (name == "pairs") {
        to.pairs = number != 0;
    } else if (name == "limit") {
        to.limit = number;
    } else if (name == "milliseconds") {
        to.milliseconds = number;
    } else if (name == "first") {
        to.first = number;
    } else if (name == "last") {
        to.last = number;
    } else if (name == "jobs") {
        to.jobs = number == 0 ? 1 : static_cast<unsigned>(number);
    } else if (name == "processor") {
        to.processor = static_cast<unsigned>(number);
    } else if (name == "take_turns") {
        to.take_turns = number != 0;
    } else if (name == "details") {
        to.details = number != 0;
    } else if (name == "only") { // PC:OCCURRENCE
        const size_t colon = value.find(':');
        to.only.emplace_back(number, colon == std::string::npos
                                         ? 0
                                         : std::strtoull(value.c_str() + colon + 1, nullptr, 0));
    } else {
        return false;
    }
    return true;
}

} // namespace

std::string read_options(int count, char** arguments, options& to) {
    for (int i = 0; i < count; ++i) {
        const std::string argument = arguments[i];
        const size_t equals = argument.find('=');
        if (equals == std::string::npos ||
            !take(argument.substr(0, equals), argument.substr(equals + 1), to)) {
            return "what is " + argument + "?";
        }
    }
    return to.descriptor < 0 ? "fd= is needed" : "";
}

} // namespace nmisafe::torture
