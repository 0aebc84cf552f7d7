// SPDX-License-Identifier: MIT
// What became of one boundary, and what that means.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nmisafe::tool::torture {

enum class verdict : std::uint8_t {
    same,
    reset,
    double_fault,
    hang,
    crash,
    lost,
    blocked,
    late,
    overwritten,
    entered_again,
    registers,
    memory,
    emulator_only,
    noise,
};
inline constexpr unsigned verdict_count = 14;

std::string_view to_string(verdict which);
std::optional<verdict> verdict_named(std::string_view name);
// One sentence for somebody who reads it for the first time.
std::string_view meaning(verdict which);

struct entry_seen {
    std::uint64_t ip = 0, sp = 0, frame = 0;
    bool nested = false, overwritten = false;
    std::vector<std::uint64_t> stack;
};

// As the plugin has seen it; plugin/pass.cpp says what each is.
struct boundary {
    std::uint64_t step = 0;
    std::optional<std::uint64_t> second; // of a pair
    std::string end;                     // "end" if the path came to its end
    std::uint64_t pc = 0, occurrence = 0;
    std::uint64_t raised = 0, entries = 0, entries_since = 0, nested = 0, overwritten = 0,
                  latency = 0, steps = 0;
    std::uint64_t last = 0, status = 0, iret_faults = 0;
    bool blocked = false, pending = false, shadow = false, behind_sti = false,
         begun_blocked = false, ended_blocked = false;
    bool has_double_faulted = false;
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> registers; // wanted, got
    std::vector<std::uint64_t> memory; // physical addresses that are as after few boundaries only
    std::map<std::string, std::uint64_t> at; // all registers, where it was raised
    std::vector<entry_seen> seen;
};

struct judgement {
    verdict what = verdict::same;
    std::string why; // empty if it is the same
};

// The worst that holds. `allowed`: what does not count where something else holds too, since the kernel is made to
// bear it; it stands if nothing else does.
judgement judge(const boundary& of, const std::vector<verdict>& allowed);

} // namespace nmisafe::tool::torture
