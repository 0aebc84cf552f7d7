// SPDX-License-Identifier: MIT
// return_bench: what the library's return sequences cost on this CPU, in ring 3, against iretq.
#include "bench/program.hpp"
#include "bench/return_sequences.hpp"
#include "bench/return_summary.hpp"

#include <benchmark/benchmark.h>

namespace {

using namespace nmisafe::bench;

constexpr std::uint64_t batch = 1000; // rounds a call, so that the call itself does not count

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

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv,
               {register_all, print_return_table, return_goals,
                "^((baseline|near|far|iretq|iretq-again)|"
                "(baseline|near|near-unbalanced|iretq)/callers)$"});
}
