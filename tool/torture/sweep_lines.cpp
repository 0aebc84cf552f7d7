// SPDX-License-Identifier: MIT
#include "tool/torture/sweep_lines.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nmisafe::tool::torture {

namespace {

using nlohmann::json;

std::uint64_t address(const json& text) {
    return std::stoull(text.get<std::string>(), nullptr, 16);
}

std::uint64_t number(const json& of, const char* name) {
    const auto found = of.find(name);
    return found == of.end() ? 0 : found->get<std::uint64_t>();
}

bool truth(const json& of, const char* name) {
    const auto found = of.find(name);
    return found != of.end() && found->get<bool>();
}

std::uint64_t address(const json& of, const char* name) {
    const auto found = of.find(name);
    return found == of.end() ? 0 : address(*found);
}

boundary read_boundary(const json& line) {
    const json& of = line.at("result");
    boundary read;
    read.step = number(line, "step");
    if (line.contains("second")) {
        read.second = number(line, "second");
    }
    read.end = of.at("end").get<std::string>();
    read.status = number(of, "status");
    read.pc = address(of, "pc");
    read.occurrence = number(of, "occurrence");
    read.raised = number(of, "raised");
    read.entries = number(of, "entries");
    read.entries_since = number(of, "entries_since");
    read.nested = number(of, "nested");
    read.overwritten = number(of, "overwritten");
    read.latency = number(of, "latency");
    read.steps = number(of, "steps");
    read.iret_faults = number(of, "iret_faults");
    read.last = address(of, "last");
    read.blocked = truth(of, "blocked");
    read.pending = truth(of, "pending");
    read.shadow = truth(of, "shadow");
    read.behind_sti = truth(of, "behind_sti");
    read.begun_blocked = truth(of, "begun_blocked");
    read.ended_blocked = truth(of, "ended_blocked");
    read.has_double_faulted = truth(of, "double_fault");
    // Each stays until its loop is over.
    const json registers = of.value("registers", json::object());
    const json at = of.value("at", json::object());
    const json entered = of.value("entered", json::array());
    for (const auto& [name, values] : registers.items()) {
        read.registers[name] = {address(values.at(0)), address(values.at(1))};
    }
    for (const auto& [name, value] : at.items()) {
        read.at[name] = address(value);
    }
    for (const json& one : entered) {
        entry_seen entry{address(one, "ip"),   address(one, "sp"),        address(one, "frame"),
                         truth(one, "nested"), truth(one, "overwritten"), {}};
        for (const json& word : one.at("stack")) {
            entry.stack.push_back(address(word));
        }
        read.seen.push_back(std::move(entry));
    }
    return read;
}

std::vector<std::uint8_t> bytes_of(const std::string& digits) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

} // namespace

void sweep_lines::take(std::string_view bytes) {
    rest_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
        try {
            take_line(rest_.substr(begin, end - begin));
        } catch (const std::exception& error) {
            error_ = std::string("a line of the plugin cannot be read: ") + error.what();
        }
    }
    rest_.erase(0, begin);
}

void sweep_lines::take_line(const std::string& text) {
    const json line = json::parse(text);
    const std::string event = line.at("event").get<std::string>();
    if (event == "boundary") {
        boundary read = read_boundary(line);
        // Said again of one whose pass had ended well: what it did was seen later.
        if (!boundaries_.empty() && boundaries_.back().step == read.step &&
            boundaries_.back().second == read.second) {
            if (read.pc == 0) {
                const std::string end = read.end;
                const std::uint64_t status = read.status;
                read = boundaries_.back();
                read.end = end;
                read.status = status;
            }
            boundaries_.back() = std::move(read);
        } else {
            boundaries_.push_back(std::move(read));
        }
        // How it went is not known of a guest that ended at once; where it was raised is.
        boundary& last = boundaries_.back();
        if (last.pc == 0 && last.step < path_.size()) {
            last.pc = path_[last.step];
            last.occurrence = static_cast<std::uint64_t>(std::count(
                path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(last.step), last.pc));
        }
    } else if (event == "memory") {
        if (truth(line, "rare")) {
            for (const json& step : line.at("steps")) {
                for (boundary& one : boundaries_) {
                    if (one.step == step.get<std::uint64_t>()) {
                        one.memory.push_back(address(line, "physical"));
                    }
                }
            }
        }
    } else if (event == "path") {
        for (const json& pc : line.at("pcs")) {
            path_.push_back(address(pc));
        }
        for (const auto& [pc, bytes] : line.at("code").items()) {
            code_[address(json(pc))] = bytes_of(bytes.get<std::string>());
        }
    } else if (event == "armed") {
        width_ = line.at("width").get<unsigned>();
    } else if (event == "printed") {
        has_printed_ = true;
    } else if (event == "passed_16_bit_code") {
        has_passed_16_bit_code_ = true;
    } else if (event == "over") {
        is_over_ = true;
        cpu_seconds_ = static_cast<double>(number(line, "cpu_milliseconds")) / 1000;
        deaths_ = number(line, "deaths");
        instructions_of_others_ = number(line, "instructions_of_others");
    } else if (event == "error") {
        error_ = line.at("what").get<std::string>();
    }
}

} // namespace nmisafe::tool::torture
