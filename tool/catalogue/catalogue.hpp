// SPDX-License-Identifier: MIT
// What can be run: the experiments, and for each policy what its guest has to show.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nmisafe::tool {

enum class expectation : std::uint8_t {
    safe,    // every counter of harm must be zero
    control, // the harm that the mechanism prevents must be seen, or the experiment proves nothing
};

std::string_view to_string(expectation expected);

// A line of the catalogue: one experiment under some policies with one expectation.
// Lists are words separated by spaces.
struct catalogue_entry {
    std::string_view experiment;
    std::string_view policies;
    expectation expected = expectation::safe;
    std::string_view symptom = {}; // control: the number of its @row that must be above zero
    // safe, although IRETs inside NMIs unblock them: unsafe_irets is above zero in `paths`
    bool latched = false;
    std::string_view without = {}; // control: the part of the mechanism the image leaves out
    // a variant of the image; with `without`, one that has controls, or empty: controls
    std::string_view image = {};
    std::string_view options = {}; // more of the kernel's command line
    std::string_view paths = {};   // the @row paths that must all be there; empty: any one row
    std::string_view paths_without_nmis = {}; // in all others nmis_handled must be above zero
    unsigned processors = 1;
    bool counts_boundaries = false; // boundaries must be above zero
    bool instruction_count = false; // QEMU's -icount: time is counted in instructions
    bool trace = false;             // more runs with QEMU's execution log: coverage and costs
    bool self_test = false;         // crashes on purpose; only with --all or when named
    unsigned timeout_seconds = 400; // for a hang: many times what it takes on a busy machine
    std::string_view architectures = "x86_64 x86_32";
    std::string_view processor_model = "max";
    std::string_view what = {}; // one sentence for --list, on an experiment's first line
};

std::span<const catalogue_entry> catalogue();

// One guest to be judged: one emulator run, up to three where it is logged.
struct guest_run {
    const catalogue_entry* entry = nullptr;
    std::string_view arch;
    std::string_view policy;
    // Without the entry's logged runs: boundaries are those that the guest has counted, and there is
    // no list of instructions that they are compared with, and no costs.
    bool unlogged = false;

    bool is_logged() const { return entry->trace && !unlogged; }

    // "<arch>-<experiment>-<policy>[-without-<part>]": the stem of its log files.
    std::string name() const;
};

// What the user asked for. An empty list means everything; self tests only if named or `all`.
struct selection {
    std::vector<std::string> architectures;
    std::vector<std::string> experiments;
    std::vector<std::string> policies;
    bool all = false;
    bool no_controls = false;
};

std::vector<guest_run> select(std::span<const catalogue_entry> entries, const selection& wanted);

// Every value that a field takes in the catalogue, in its order, once each.
std::vector<std::string> architecture_names(std::span<const catalogue_entry> entries);
std::vector<std::string> experiment_names(std::span<const catalogue_entry> entries);
std::vector<std::string> policy_names(std::span<const catalogue_entry> entries);

// The catalogue as the text of --list.
std::string describe(std::span<const catalogue_entry> entries);

std::vector<std::string_view> split_words(std::string_view words);

} // namespace nmisafe::tool
