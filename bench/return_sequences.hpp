// SPDX-License-Identifier: MIT
// The timed loops of return_sequences_x86_64.S. Each makes `rounds` (at least 1) rounds of: build
// the frame of a trap, return through it.
#pragma once

#include <cstdint>

extern "C" {
using return_bench_loop = void(std::uint64_t rounds, void* other_stack_top);

// The frame on the interrupted stack, as #BP and #PF push it in the kernel.
return_bench_loop return_bench_baseline;
return_bench_loop return_bench_near;
return_bench_loop return_bench_near_unbalanced;
return_bench_loop return_bench_far;
return_bench_loop return_bench_iretq;

// The frame on a stack of its own, as with an IST.
return_bench_loop return_bench_baseline_other_stack;
return_bench_loop return_bench_near_other_stack;
return_bench_loop return_bench_near_unbalanced_other_stack;
return_bench_loop return_bench_far_other_stack;
return_bench_loop return_bench_iretq_other_stack;

// With eight callers that return afterwards.
return_bench_loop return_bench_baseline_callers;
return_bench_loop return_bench_near_callers;
return_bench_loop return_bench_near_unbalanced_callers;
return_bench_loop return_bench_far_callers;
return_bench_loop return_bench_iretq_callers;
}
