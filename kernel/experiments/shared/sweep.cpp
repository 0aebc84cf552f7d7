// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/sweep.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

// The arming itself takes a few instructions: a shorter delay could be over before it is armed. On
// a CPU the one-shot would then come only when the counter has gone round, under QEMU at once.
constexpr uint32_t shortest_delay = 80;
constexpr uint32_t step_alone = 4; // sweep.hpp says why
constexpr uint32_t step_beside_others = 1;
constexpr uint32_t longest_delay = 200000; // a path that takes longer than this is a mistake
constexpr uint32_t late_in_a_row = 24;
constexpr uint32_t patience = 20000; // ticks waited for an event beyond its time

const sweep* plan;
uint32_t delay;
uint32_t injections;
shared_flag after_window;
shared_flag came_after;
shared_flag is_nmi;
uint8_t sweep_vector; // if it is none

void inject() {
    const uint32_t start = ticks();
    one_shot_arm(delay);
    plan->window();
    after_window = true;
    while (!plan->arrived() && ticks() - start < delay + patience) {
        nmisafe::x86::pause();
        // The window has left interrupts off again. The jump, because QEMU looks for interrupts
        // only between translated blocks.
        if (!is_nmi)
            asm volatile("sti\n\tnop\n\tjmp 1f\n1:\tcli" : : : "memory");
    }
}

/// In the counter's upper half the one-shot would fire when it comes round, in the middle of some
/// later pass.
void stay_in_lower_half(void (*set_up)()) {
    if (ticks() >= 1U << 31) {
        restart_counter();
        set_up();
    }
}

void inject_on_and_on(void (*set_up)()) {
    injections = 0;
    uint32_t late = 0;
    const uint32_t step = cpu_count() == 1 ? step_alone : step_beside_others;
    for (delay = shortest_delay; late < late_in_a_row; delay += step) {
        if (delay > longest_delay) {
            fail("the window does not end", longest_delay, delay);
            return;
        }
        stay_in_lower_half(set_up);
        if (plan->prepare != nullptr)
            plan->prepare();
        after_window = false;
        came_after = false;
        ++injections;
        if (is_nmi)
            ++scene.count.raised;
        const bool completed = run_guarded(inject);
        one_shot_disarm();
        if (completed)
            plan->check();
        else if (plan->once)
            return;
        late = came_after ? late + 1 : 0;
    }
}

void run(const sweep& the_plan, void (*set_up)()) {
    plan = &the_plan;
    set_up();
    inject_on_and_on(set_up);
    one_shot_shut_down();
}

} // namespace

void sweep_nmi(const sweep& the_plan) {
    is_nmi = true;
    run(the_plan, [] { one_shot_set_up_nmi(0); });
}

void sweep_interrupt(const sweep& the_plan, uint8_t vector) {
    is_nmi = false;
    sweep_vector = vector;
    run(the_plan, [] { one_shot_set_up_interrupt(sweep_vector, 0); });
}

void sweep_event() {
    if (after_window)
        came_after = true;
}

uint32_t sweep_injections() {
    return injections;
}

} // namespace kernel
