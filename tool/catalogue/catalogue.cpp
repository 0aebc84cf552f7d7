// SPDX-License-Identifier: MIT
#include "tool/catalogue/catalogue.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

bool contains(const std::vector<std::string>& list, std::string_view value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

bool wants(const std::vector<std::string>& list, std::string_view value) {
    return list.empty() || contains(list, value);
}

std::vector<std::string> names(std::span<const catalogue_entry> entries,
                               std::string_view catalogue_entry::*field) {
    std::vector<std::string> found;
    for (const catalogue_entry& entry : entries) {
        for (std::string_view word : split_words(entry.*field)) {
            if (!contains(found, word)) {
                found.emplace_back(word);
            }
        }
    }
    return found;
}

} // namespace

std::string_view to_string(expectation expected) {
    return expected == expectation::safe ? "safe" : "control";
}

std::string guest_run::name() const {
    std::string text = fmt::format("{}-{}-{}", arch, entry->experiment, policy);
    if (!entry->without.empty()) {
        text += fmt::format("-without-{}", entry->without);
    }
    return text;
}

std::vector<std::string_view> split_words(std::string_view words) {
    std::vector<std::string_view> result;
    while (true) {
        const std::size_t begin = words.find_first_not_of(' ');
        if (begin == std::string_view::npos) {
            return result;
        }
        words.remove_prefix(begin);
        const std::string_view word = words.substr(0, words.find(' '));
        result.push_back(word);
        words.remove_prefix(word.size());
    }
}

std::vector<guest_run> select(std::span<const catalogue_entry> entries, const selection& wanted) {
    std::vector<guest_run> runs;
    for (const catalogue_entry& entry : entries) {
        const bool named = contains(wanted.experiments, entry.experiment);
        if (entry.self_test ? !(wanted.all && wanted.experiments.empty()) && !named
                            : !wants(wanted.experiments, entry.experiment)) {
            continue;
        }
        if (wanted.no_controls && entry.expected == expectation::control) {
            continue;
        }
        for (std::string_view arch : split_words(entry.architectures)) {
            for (std::string_view policy : split_words(entry.policies)) {
                if (wants(wanted.architectures, arch) && wants(wanted.policies, policy)) {
                    runs.push_back({&entry, arch, policy});
                }
            }
        }
    }
    // By architecture first: a reader of the table compares policies, not widths.
    std::stable_sort(runs.begin(), runs.end(),
                     [](const guest_run& a, const guest_run& b) { return a.arch > b.arch; });
    return runs;
}

std::vector<std::string> architecture_names(std::span<const catalogue_entry> entries) {
    return names(entries, &catalogue_entry::architectures);
}

std::vector<std::string> experiment_names(std::span<const catalogue_entry> entries) {
    return names(entries, &catalogue_entry::experiment);
}

std::vector<std::string> policy_names(std::span<const catalogue_entry> entries) {
    return names(entries, &catalogue_entry::policies);
}

std::string describe(std::span<const catalogue_entry> entries) {
    std::string text;
    std::string_view previous;
    for (const catalogue_entry& entry : entries) {
        if (entry.experiment != previous) {
            text += fmt::format("{}{}\n    {}\n", previous.empty() ? "" : "\n", entry.experiment,
                                entry.what);
            previous = entry.experiment;
        }
        text += fmt::format("    {:<8} {:<26} {}", to_string(entry.expected), entry.policies,
                            entry.architectures);
        if (!entry.without.empty()) {
            text += fmt::format("  without {}", entry.without);
        }
        if (!entry.symptom.empty()) {
            text += fmt::format("  must show {} > 0", entry.symptom);
        }
        if (entry.self_test) {
            text += "  must fail; only with --all or by name";
        }
        text += '\n';
        if (!entry.paths.empty()) {
            text += fmt::format("             paths {}\n", entry.paths);
        }
    }
    return text;
}

} // namespace nmisafe::tool
