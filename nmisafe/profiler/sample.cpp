// SPDX-License-Identifier: MIT
#include "nmisafe/profiler/sample.hpp"

#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/tracer/kernel_events.hpp"

namespace nmisafe::profiler {

sample_end take_sample(const x86::trap_frame& frame, const chain_rules& rules) {
    using tracer::events::sample;
    if (!tracer::is_on<sample>())
        return sample_end::off;
    uintptr_t addresses[most_in_chain];
    const chain_found found = walk_chain(frame, rules, addresses, most_in_chain);
    const int32_t tid = __atomic_load_n(&platform::contract::tracer_cpu().tid, __ATOMIC_RELAXED);
    // In a kprobe's slot it is the probed instruction that was interrupted.
    const uintptr_t ip = kprobe::original_address(frame.ip);
    return tracer::record<sample>(ip, tid, tracer::chain{addresses, found.count})
               ? sample_end::written
               : sample_end::lost;
}

} // namespace nmisafe::profiler
