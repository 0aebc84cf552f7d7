// SPDX-License-Identifier: MIT
// return_bench: what the library's return sequences cost on this CPU, in ring 3, against iretq.
// `--check` runs it short, up to three times, and fails unless the goals are met in one run.
#include "bench/return_sequences.hpp"
#include "bench/return_summary.hpp"

#include <benchmark/benchmark.h>
#include <iostream>
#include <string_view>
#include <vector>

namespace {

using namespace nmisafe::bench;

constexpr std::uint64_t batch = 1000; // rounds a call, so that the call itself does not count
constexpr int attempts = 3;           // of --check: the machine may be busy with something else

alignas(64) unsigned char other_stack[4096];

struct entry {
    const char* name;
    return_bench_loop* loop;
};

constexpr entry entries[] = {
    {"baseline", return_bench_baseline},
    {"near", return_bench_near},
    {"near-unbalanced", return_bench_near_unbalanced},
    {"far", return_bench_far},
    {"iretq", return_bench_iretq},
    {"iretq-again", return_bench_iretq}, // a control: the same code under another name
    {"baseline/other-stack", return_bench_baseline_other_stack},
    {"near/other-stack", return_bench_near_other_stack},
    {"near-unbalanced/other-stack", return_bench_near_unbalanced_other_stack},
    {"far/other-stack", return_bench_far_other_stack},
    {"iretq/other-stack", return_bench_iretq_other_stack},
    {"baseline/callers", return_bench_baseline_callers},
    {"near/callers", return_bench_near_callers},
    {"near-unbalanced/callers", return_bench_near_unbalanced_callers},
    {"far/callers", return_bench_far_callers},
    {"iretq/callers", return_bench_iretq_callers},
};

void register_all() {
    for (const entry& e : entries)
        benchmark::RegisterBenchmark(e.name, [loop = e.loop](benchmark::State& state) {
            while (state.KeepRunningBatch(batch))
                loop(batch, other_stack + sizeof other_stack);
        });
}

/// Defaults first: the caller's own --benchmark_... arguments come later and win.
std::vector<char*> with_defaults(int argc, char** argv, bool check) {
    static char interleaving[] = "--benchmark_enable_random_interleaving=true";
    static char aggregates[] = "--benchmark_report_aggregates_only=true";
    static char repetitions[] = "--benchmark_repetitions=15";
    static char least_time[] = "--benchmark_min_time=0.05";
    static char short_least_time[] = "--benchmark_min_time=0.03";
    static char judged_only[] = "--benchmark_filter=^((baseline|near|far|iretq|iretq-again)|"
                                "(baseline|near|near-unbalanced|iretq)/callers)$";
    std::vector<char*> arguments{argv[0], interleaving, aggregates, repetitions};
    if (check)
        arguments.insert(arguments.end(), {short_least_time, judged_only});
    else
        arguments.push_back(least_time);
    for (int i = 1; i < argc; ++i) {
        if (std::string_view{argv[i]} != "--check")
            arguments.push_back(argv[i]);
    }
    return arguments;
}

int check_goals() {
    for (int attempt = 1; attempt <= attempts; ++attempt) {
        median_reporter reporter{false};
        benchmark::RunSpecifiedBenchmarks(&reporter);
        std::cout << "attempt " << attempt << " of " << attempts << '\n';
        print_table(std::cout, reporter.found());
        const verdict reached = judge(std::cout, reporter.found());
        if (reached == verdict::met)
            return 0;
        if (reached == verdict::not_measured)
            return 2;
    }
    std::cout << "goals not met\n";
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    bool check = false;
    for (int i = 1; i < argc; ++i)
        check = check || std::string_view{argv[i]} == "--check";
    std::vector<char*> arguments = with_defaults(argc, argv, check);
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
        return 2;
    register_all();
    if (check)
        return check_goals();
    median_reporter reporter{true};
    if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0)
        return 2; // it has said that nothing matches
    std::cout << '\n';
    print_table(std::cout, reporter.found());
    judge(std::cout, reporter.found());
}
