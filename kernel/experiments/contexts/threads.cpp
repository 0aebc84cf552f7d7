// SPDX-License-Identifier: MIT
// threads: preemptive threads in several address spaces on all CPUs, under the tick, while every
// CPU is sent NMIs whose handlers hit INT3. The preempt count must keep its promise: who has
// disabled preemption is not switched away, who has not sees a count of 0, and the NMI handler is
// in_nmi(). And a grace period ends with the section that it finds each CPU in, though that one
// begins the next section at once; as a control, without=section leaves it to looks that happen to
// come in between. And a CPU may come up while all are asked to do something, with a probe on the
// first code that it may be hit by one in.
#include "kernel/experiments/contexts/threads.hpp"
#include "kernel/common/controls.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

constexpr uint32_t threads_per_cpu = 3;
constexpr uint32_t least_rounds = 20; // of each thread
constexpr uint32_t least_nmis = 200;
constexpr uint32_t give_up_microseconds = 40'000'000;
constexpr uint32_t most_threads = most_cpus * threads_per_cpu;

struct worker {
    uint32_t cpu_id;
    shared_count rounds;
    uint32_t switched_while_disabled;
    uint32_t count_wrong;
    uint32_t wrong_cpu;
};

constinit worker workers[most_threads] = {};
shared_flag stop;
shared_count handled[most_cpus];
shared_count not_in_nmi;
shared_count breakpoints;
shared_count running_id[most_cpus]; // the worker that ran last on each CPU

void on_nmi(trap_frame&) {
    ++handled[this_cpu().id];
    if (!nmisafe::context::in_nmi() || !nmisafe::context::in_interrupt())
        ++not_in_nmi;
    hit_breakpoint();
}

bool on_breakpoint(trap_frame&) {
    ++breakpoints;
    return true;
}

void work(void* argument) {
    auto& self = *static_cast<worker*>(argument);
    const auto id = static_cast<uint32_t>(&self - workers) + 1;
    while (!stop) {
        ++self.rounds;
        if (nmisafe::context::preempt_count() != 0)
            ++self.count_wrong;
        preempt_disable();
        if (this_cpu().id != self.cpu_id)
            ++self.wrong_cpu;
        shared_count& running = running_id[self.cpu_id];
        running = id;
        for (unsigned i = 0; i < 50; ++i) {
            hit_breakpoint();
            if (running != id) { // somebody else ran in between
                ++self.switched_while_disabled;
                break;
            }
        }
        preempt_enable();
    }
}

bool all_have_run(uint32_t total) {
    for (uint32_t i = 0; i < total; ++i)
        if (workers[i].rounds < least_rounds)
            return false;
    return true;
}

void preempt_in_storm() {
    set_scene(nullptr);
    nmisafe::trap::set_nmi_handler(on_nmi);
    nmisafe::trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { start_tick(); }, nullptr);
        wait(id);
    }
    thread* started[most_threads] = {};
    const uint32_t total = cpu_count() * threads_per_cpu;
    for (uint32_t i = 0; i < total; ++i) {
        workers[i].cpu_id = i % cpu_count();
        started[i] = create_thread(workers[i].cpu_id, work, &workers[i],
                                   i % 2 == 0 ? create_address_space() : nullptr);
    }
    uint32_t raised = 0;
    const uint32_t start = ticks();
    while ((raised < least_nmis || !all_have_run(total)) &&
           ticks() - start < ticks_in(give_up_microseconds)) {
        const uint32_t target = raised % cpu_count();
        const uint32_t before = handled[target];
        send_nmi(target);
        ++raised;
        if (!wait_for([target, before] { return handled[target] != before; }))
            ++scene.count.lost;
    }
    stop = true;
    uint32_t rounds = 0;
    for (uint32_t i = 0; i < total; ++i) {
        join(started[i]);
        const worker& one = workers[i];
        rounds += one.rounds;
        if (one.rounds < least_rounds)
            fail("rounds of a thread", least_rounds, one.rounds);
        if (one.switched_while_disabled != 0)
            fail("switched away with preemption disabled", 0, one.switched_while_disabled);
        if (one.count_wrong != 0)
            fail("preempt count not 0 in a thread", 0, one.count_wrong);
        if (one.wrong_cpu != 0)
            fail("a thread left its CPU", 0, one.wrong_cpu);
    }
    if (not_in_nmi != 0)
        fail("handlers that were not in_nmi()", 0, not_in_nmi);
    scene.count.boundaries = rounds;
    scene.count.raised = raised;
    for (uint32_t id = 0; id < cpu_count(); ++id)
        scene.count.handled += handled[id];
    if (scene.count.handled != raised)
        fail("NMIs handled", raised, scene.count.handled);
    gather_unsafe_irets();
    print_row("preemption");
}

} // namespace

void threads() {
    if (!is_removed(defence::section))
        preempt_in_storm();
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { stop_tick(); }, nullptr);
        wait(id);
    }
    wait_for_sections();
    if (!is_removed(defence::section))
        let_a_cpu_join();
}

} // namespace kernel
