// SPDX-License-Identifier: MIT
// A path of marker-in-nmi: a probe hits its own marker, in the thread and in the NMI that
// interrupts it. No more than the cap are under way on the CPU, the others are counted.
#include "kernel/experiments/patching/own_marker.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/trace_mark.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constexpr uint32_t most_hits = 7;  // as context::preempt_disable_capped() says
constexpr uint32_t own_limit = 14; // the probe's: more would end its field of the count
constexpr uint32_t nmi_at_depth = 3;
uint32_t own_depth;
uint32_t own_deepest;
uint32_t own_calls;

[[gnu::noinline]] void execute_own_marker() {
    trace_mark(kernel, own_marker, MARK_NOARGS);
}

void hit_own_marker(const marker::marker&, void*, const marker::arguments&) {
    ++own_calls;
    if (++own_depth > own_deepest)
        own_deepest = own_depth;
    if (own_depth == nmi_at_depth && !context::in_nmi()) {
        raise_nmi_here(); // its handler hits the marker too
        settle();
    } else if (own_depth < own_limit) {
        execute_own_marker();
    }
    --own_depth;
}

constinit marker::probe hits_itself(hit_own_marker, nullptr);

} // namespace

void own_marker() {
    set_scene([](x86::trap_frame&) { execute_own_marker(); });
    set_up_patching();
    uint32_t& dropped = this_cpu().nmisafe.dropped_hits;
    const uint32_t dropped_before = dropped;
    own_depth = own_deepest = own_calls = 0;
    if (!marker::register_probe("kernel", "own_marker", nullptr, hits_itself))
        fail("the probe was registered", 1, 0);
    const uint32_t count_before = context::preempt_count();
    execute_own_marker();
    settle();
    if (own_deepest != most_hits)
        fail("hits at once, the NMI's on top of the thread's", most_hits, own_deepest);
    if (own_calls != most_hits)
        fail("calls of the probe", most_hits, own_calls);
    if (dropped - dropped_before != 1)
        fail("hits that were dropped and counted", 1, dropped - dropped_before);
    if (context::preempt_count() != count_before)
        fail("the preempt count afterwards", count_before, context::preempt_count());
    if (!marker::unregister_probe(hits_itself))
        fail("the probe was unregistered", 1, 0);
    scene.count.boundaries = own_calls;
    print_row("own-marker");
}

} // namespace kernel
