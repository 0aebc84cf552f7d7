// SPDX-License-Identifier: MIT
// Decides what a guest's run has shown. Whatever is not proven is a failure with a reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tool/catalogue/catalogue.hpp"
#include "tool/emulator/process.hpp"
#include "tool/evidence/execution_log.hpp"
#include "tool/evidence/raise_log.hpp"
#include "tool/protocol/console.hpp"

namespace nmisafe::tool {

// A guest that has run: how its emulator ended and what its console said.
struct guest_outcome {
    process_result process;
    console_content console;
};

// Of the instructions QEMU executed on a path, those before which an NMI came.
struct coverage {
    std::string_view how; // delivered: its saved RIP says so; raised: while blocked, QEMU says so
    std::uint64_t instructions = 0;
    std::uint64_t hit = 0;
    std::vector<std::uint64_t> missing;
    std::vector<std::uint64_t> unreachable = {}; // not among `instructions`: entered_by_faults()
};

struct cost {
    std::string name;
    std::string arch;
    std::string policy;
    std::uint64_t items = 1;        // that the instructions are spent on
    std::uint64_t instructions = 0; // the largest seen
    std::uint64_t smallest = 0;
    std::uint64_t occurrences = 0;
};

struct judged_row {
    guest_run run;
    console_row row;
    bool passed = false;
    std::string reason; // empty when passed
    std::optional<coverage> covered;
    std::vector<std::string> said = {}; // each @fail of its guest, when it did not pass
};

struct judgement {
    std::vector<judged_row> rows; // at least one
    std::vector<cost> costs;
};

// A logged run and what its execution log holds; `error` when the log could not be had.
template <typename Analysis>
struct logged_outcome {
    guest_outcome guest;
    std::optional<Analysis> analysis;
    std::string error;
};
using trace_outcome = logged_outcome<execution_analysis>;
using raises_outcome = logged_outcome<raise_analysis>;

// Why the guest did not come to its end as the protocol wants it, or empty.
std::string end_failure(const guest_run& run, const guest_outcome& outcome);

// `trace` and `raises` are null when there was no such run; where one is needed that is a failure.
judgement judge(const guest_run& run, const guest_outcome& outcome, const trace_outcome* trace,
                const raises_outcome* raises);

} // namespace nmisafe::tool
