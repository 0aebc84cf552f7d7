// SPDX-License-Identifier: MIT
#include "bench/program.hpp"

#include <chrono>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace nmisafe::bench {

namespace {

// Of --check: the machine may be busy with something else, and then for a while.
constexpr int attempts = 8;
constexpr std::chrono::seconds between_attempts{4};
constexpr double most_noise = 0.1; // deviation to median, of what is steady

/// Defaults first: the caller's own --benchmark_... arguments come later and win.
std::vector<std::string> with_defaults(int argc, char** argv, bool check, const suite& what) {
    std::vector<std::string> arguments{argv[0], "--benchmark_enable_random_interleaving=true",
                                       "--benchmark_report_aggregates_only=true",
                                       "--benchmark_repetitions=15"};
    arguments.push_back(check ? "--benchmark_min_time=0.03" : "--benchmark_min_time=0.05");
    if (check)
        arguments.push_back(std::string{"--benchmark_filter="} + what.judged);
    for (int i = 1; i < argc; ++i) {
        if (std::string_view{argv[i]} != "--check")
            arguments.push_back(argv[i]);
    }
    return arguments;
}

/// Hands Google Benchmark its arguments, which it goes on using; false if it does not know one.
bool initialize(std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments)
        pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    benchmark::Initialize(&count, pointers.data());
    return !benchmark::ReportUnrecognizedArguments(count, pointers.data());
}

/// Says how much noise there was.
bool is_noisy(const suite& what, const median_reporter& measured) {
    if (what.steady == nullptr)
        return false;
    const auto noise =
        quotient(find(measured.deviations(), what.steady), find(measured.found(), what.steady));
    std::cout << "noise: " << number(noise, 3) << " of " << what.steady << '\n';
    return noise && *noise > most_noise;
}

int check_goals(const suite& what) {
    bool was_quiet = false;
    for (int attempt = 1; attempt <= attempts; ++attempt) {
        if (attempt != 1)
            std::this_thread::sleep_for(between_attempts);
        median_reporter reporter{false};
        benchmark::RunSpecifiedBenchmarks(&reporter);
        std::cout << "attempt " << attempt << " of " << attempts << '\n';
        what.print_table(std::cout, reporter.found());
        const verdict reached = judge(std::cout, reporter.found(), what.goals);
        if (reached == verdict::met)
            return 0;
        if (reached == verdict::not_measured)
            return 2;
        was_quiet = !is_noisy(what, reporter) || was_quiet;
    }
    std::cout << (was_quiet ? "goals not met\n" : "goals not met, but in noise: skipped\n");
    return was_quiet ? 1 : too_noisy;
}

} // namespace

int run(int argc, char** argv, const suite& what) {
    bool check = false;
    for (int i = 1; i < argc; ++i)
        check = check || std::string_view{argv[i]} == "--check";
    std::vector<std::string> arguments = with_defaults(argc, argv, check, what);
    if (!initialize(arguments))
        return 2;
    what.register_all();
    if (check)
        return check_goals(what);
    median_reporter reporter{true};
    if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0)
        return 2; // it has said that nothing matches
    std::cout << '\n';
    what.print_table(std::cout, reporter.found());
    judge(std::cout, reporter.found(), what.goals);
    return 0;
}

} // namespace nmisafe::bench
