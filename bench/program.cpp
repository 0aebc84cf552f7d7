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

int check_goals(const suite& what) {
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
    }
    std::cout << "goals not met\n";
    return 1;
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
