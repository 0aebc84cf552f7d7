// SPDX-License-Identifier: MIT
// Reads what QEMU writes with `-d exec,nochain` when each instruction is a block of its own: a line
// for each executed instruction.
//
//   Trace 0: 0x7f3c00000100 [cs base/pc/flags/cflags] symbol
//   Stopped execution of TB chain before 0x7f3c00000100 [pc] symbol
//   cpu_io_recompile: rewound execution of TB to pc
//
// The first is written when QEMU enters the instruction's code, the others when it left that code
// again before the instruction ran: an interrupt or a timer was due, or the instruction reaches a
// device and is entered once more, counted exactly. So an instruction counts only once the next
// line shows that it was not taken back (accel/tcg/cpu-exec.c, cpu_tb_exec; translate-all.c,
// cpu_io_recompile).
//
// With `-d int` there is a line for each exception as well (target/i386/tcg/seg_helper.c):
//
//      3: v=0e e=0002 i=0 cpl=0 IP=0008:ffffffff80106049 pc=ffffffff80106049 SP=...
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tool/protocol/console.hpp"

namespace nmisafe::tool {

struct execution_line {
    bool taken_back = false; // the instruction at pc did not run
    std::uint64_t pc = 0;
};

// Empty for every other line of the log.
std::optional<execution_line> parse_execution_line(std::string_view line);

// The instruction at fault in the line of a page fault or a #GP; empty for every other line.
std::optional<std::uint64_t> parse_fault_line(std::string_view line);

// A code path as executed. Complete once the path has been walked from its begin to its end.
struct window_trace {
    std::set<std::uint64_t> instructions;
    std::set<std::pair<std::uint64_t, std::uint64_t>> steps; // from an instruction to the next
    std::set<std::uint64_t> after_faults; // entered by a page fault of the instruction before
    std::set<std::uint64_t> after_others; // entered after an instruction that did not fault
    std::uint64_t times_complete = 0;
};

// The instructions that only page faults lead to: the handlers' first. With -icount an instruction
// that faults takes no time, so no timer can be due between it and the handler: a device that is
// due by then was due, and served, before the instruction that faults.
std::set<std::uint64_t> entered_by_faults(const window_trace& walked);

// A cost. Empty until it was seen once from its begin to its end.
struct measure_trace {
    std::string name;
    std::uint64_t items = 1;
    std::uint64_t occurrences = 0;
    std::uint64_t smallest = 0;
    std::uint64_t largest = 0;
};

// Follows the executed instructions through all windows and measures at once.
class execution_analysis {
  public:
    execution_analysis(const std::map<std::string, address_range>& windows,
                       const std::map<std::string, measure_range>& measures);

    // The next line of the log.
    void feed(std::string_view line);
    // The log has ended.
    void finish();

    const std::map<std::string, window_trace>& windows() const { return window_results_; }
    const std::vector<measure_trace>& measures() const { return measure_results_; }
    std::uint64_t instructions() const { return instructions_; }

  private:
    struct follower {
        address_range range;
        bool inside = false;
        window_trace walk = {};  // windows: this walk so far
        std::uint64_t count = 0; // measures: this walk's instructions
    };

    void execute(std::uint64_t pc);
    void follow_windows(std::uint64_t pc);
    void follow_measures(std::uint64_t pc);

    std::vector<std::pair<std::string, follower>> window_followers_;
    std::vector<follower> measure_followers_;
    std::map<std::string, window_trace> window_results_;
    std::vector<measure_trace> measure_results_;
    std::optional<std::uint64_t> pending_;  // entered, not yet known to have run
    std::optional<std::uint64_t> previous_; // the last that has run
    bool pending_faulted_ = false;
    bool previous_faulted_ = false;
    std::uint64_t instructions_ = 0;
};

// Hands on a whole log, line by line. False when the file cannot be read.
bool read_execution_log(const std::filesystem::path& file,
                        const std::function<void(std::string_view)>& on_line);

} // namespace nmisafe::tool
