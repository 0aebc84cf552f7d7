// SPDX-License-Identifier: MIT
#include "tool/command/torture_campaign.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

#include "tool/command/run_command.hpp"
#include "tool/command/torture_command.hpp"
#include "tool/files/output_file.hpp"
#include "tool/torture/campaign.hpp"

namespace nmisafe::tool {

namespace {

struct campaign_job {
    torture::campaign_sweep sweep;
    torture::torture_options options;
    std::vector<std::string> arguments; // of which they were made
    std::string key;
    bool is_mine = true; // of this --share
};

struct share_of {
    std::size_t which = 1, all = 1;
};

share_of read_share(const std::string& text) {
    share_of share;
    char behind = 0;
    if (!text.empty() &&
        (std::sscanf(text.c_str(), "%zu/%zu%c", &share.which, &share.all, &behind) != 2 ||
         share.which == 0 || share.which > share.all)) {
        throw std::runtime_error("--share " + text + " is not of the form K/N");
    }
    return share;
}

// What is wrong with any of them is said before the first is started.
std::vector<campaign_job> jobs_of(const campaign_options& options, const torture_parser& parse) {
    const share_of share = read_share(options.share);
    const std::vector<torture::campaign_sweep> all = torture::read_campaign(options.file);
    for (const std::string& name : options.names) {
        if (std::none_of(all.begin(), all.end(),
                         [&](const auto& one) { return one.name == name; })) {
            throw std::runtime_error(
                fmt::format("{}: there is no sweep {}", options.file.string(), name));
        }
    }
    std::vector<campaign_job> jobs;
    for (const torture::campaign_sweep& sweep : all) {
        const std::string which = fmt::format("{}: sweep {}: ", options.file.string(), sweep.name);
        std::vector<std::string> arguments = sweep.arguments;
        if (options.brief) {
            arguments.insert(arguments.end(), sweep.brief.begin(), sweep.brief.end());
        }
        const std::filesystem::path folder =
            options.kernels.empty() ? options.file.parent_path() : options.kernels;
        arguments.push_back((folder / sweep.kernel).string());
        campaign_job job{sweep, {}, arguments, {}};
        try {
            job.options = parse(arguments);
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(which + error.what());
        }
        job.options.qemu_arguments = sweep.qemu;
        job.options.out = options.out / sweep.name;
        if (!options.names.empty() && std::find(options.names.begin(), options.names.end(),
                                                sweep.name) == options.names.end()) {
            continue;
        }
        if (!std::filesystem::is_regular_file(job.options.kernel)) {
            throw std::runtime_error(which + job.options.kernel.string() +
                                     ": there is no such file");
        }
        job.is_mine = jobs.size() % share.all == share.which - 1;
        jobs.push_back(std::move(job));
    }
    return jobs;
}

// What it came to depends on: the tool and its plugin too.
void add_keys(std::vector<campaign_job>& jobs) {
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
    torture::content_key tool;
    tool.add_file(program);
    tool.add_file(program.parent_path() / "nmisafe_torture.so");
    for (const char* const arch : {"x86_64", "x86_32"}) {
        tool.add_file(program.parent_path() / "torture" / fmt::format("init-{}.cpio", arch));
    }
    for (campaign_job& job : jobs) {
        torture::content_key key = tool;
        for (const auto* list : {&job.arguments, &job.sweep.qemu}) {
            for (const std::string& text : *list) {
                key.add(text);
            }
            key.add("");
        }
        key.add_file(job.options.kernel);
        key.add_file(job.options.initrd);
        key.add_file(job.options.symbols);
        job.key = key.text();
    }
}

torture::campaign_result do_one(const campaign_job& job) {
    std::filesystem::remove(job.options.out / "report.json");
    print_now(stdout, fmt::format("== {}\n", job.sweep.name));
    std::string error;
    int status = exit_cannot_run;
    try {
        status = torture_command(job.options);
    } catch (const std::runtime_error& failed) {
        error = failed.what();
        refuse(error);
    }
    torture::campaign_result result = torture::result_of(job.options.out, job.key, status);
    if (!error.empty()) {
        result.error = error;
    }
    const bool is_over = status == exit_all_passed || status == exit_some_failed;
    if (is_over) {
        if (const std::string why = torture::keep_result(job.options.out, result); !why.empty()) {
            throw std::runtime_error(why);
        }
    }
    return result;
}

} // namespace

int campaign_command(const campaign_options& options, const torture_parser& parse) {
    std::vector<campaign_job> jobs = jobs_of(options, parse);
    add_keys(jobs);
    std::filesystem::create_directories(options.out);
    std::vector<std::pair<torture::campaign_sweep, torture::campaign_result>> results;
    bool is_interrupted = false;
    for (const campaign_job& job : jobs) {
        torture::campaign_result result = torture::kept_result(job.options.out, job.key);
        if (result.status < 0 && job.is_mine && !is_interrupted) {
            result = do_one(job);
            is_interrupted = result.status == exit_interrupted;
        }
        results.emplace_back(job.sweep, std::move(result));
    }
    print_now(stdout, torture::summary_text(results));
    if (const std::string why =
            write_whole(options.out / "summary.json", torture::summary_json(results));
        !why.empty()) {
        return refuse(why);
    }
    if (is_interrupted) {
        return exit_interrupted;
    }
    std::string why;
    bool has_finding = false;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        const auto& [sweep, result] = results[i];
        has_finding = has_finding || result.status == exit_some_failed;
        const std::uint64_t least = options.brief ? sweep.least_brief : sweep.least;
        if (!why.empty() || (result.status < 0 && !jobs[i].is_mine)) {
            continue;
        }
        if (result.status != exit_all_passed && result.status != exit_some_failed) {
            why = fmt::format("{}: {}", sweep.name,
                              result.error.empty() ? "nothing could be shown" : result.error);
        } else if (const auto noise = result.verdicts.find("noise");
                   noise != result.verdicts.end() && noise->second * 100 > result.boundaries) {
            why = fmt::format("{}: {} of {} boundaries are noise", sweep.name, noise->second,
                              result.boundaries);
        } else if (result.fewest < least) {
            why = fmt::format("{}: {} boundaries, and at least {} are wanted (\"least\")",
                              sweep.name, result.fewest, least);
        }
    }
    if (has_finding) {
        return exit_some_failed;
    }
    return why.empty() ? exit_all_passed : refuse(why);
}

} // namespace nmisafe::tool
