// SPDX-License-Identifier: MIT
// threads, path joining: a CPU comes up while all are asked.
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/experiments/contexts/threads.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/broadcast.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

/// Starts another CPU when those that are up have been asked and before they are waited for: it
/// must not be waited for. Asked afterwards, it answers like the others.
shared_count acted[most_cpus];
uint32_t late_cpu;

void act() {
    ++acted[this_cpu().id];
    if (this_cpu().id == 0 && late_cpu == 0) {
        late_cpu = cpu_count();
        if (!start_next_cpu())
            fail("a CPU is left to be started", 1, 0);
    }
}

constinit broadcast request(static_cast<vector>(first_experiment_vector), act);
constinit nmisafe::kprobe::probe late_probe{};

bool on_request(nmisafe::x86::trap_frame&) {
    request.answer();
    return true;
}

void expect_no_probe_on(uintptr_t function) {
    late_probe.address = late_probe.function = function;
    const auto inserted = nmisafe::kprobe::insert(late_probe);
    if (inserted || inserted.error() != nmisafe::kprobe::probe_error::no_probe)
        fail("no probe on what a CPU without an IDT runs", 0, late_probe.address);
}

} // namespace

void let_a_cpu_join() {
    set_scene(nullptr);
    nmisafe::trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    nmisafe::trap::set_handler(first_experiment_vector, on_request);
    late_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    expect_no_probe_on(reinterpret_cast<uintptr_t>(kernel_other_cpu_main));
    late_probe.address = late_probe.function = reinterpret_cast<uintptr_t>(kernel_joined);
    if (!nmisafe::kprobe::insert(late_probe))
        return fail("a probe on the first code of a CPU that joins", 1, 0);
    request.ask_all();
    request.ask_all();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        if (acted[id] != (id == late_cpu ? 1 : 2))
            fail("times that a CPU was asked", id, acted[id]);
    if (late_probe.hits != 1)
        fail("hits of the probe on a CPU that joins", 1, late_probe.hits);
    if (!nmisafe::kprobe::remove(late_probe))
        fail("the probe is removed", 1, 0);
    static shared_count worked;
    run_on(
        late_cpu, [](void*) { ++worked; }, nullptr);
    wait(late_cpu);
    if (worked != 1)
        fail("work of the CPU that joined", 1, worked);
    scene.count.boundaries = cpu_count();
    print_row("joining");
}

} // namespace kernel
