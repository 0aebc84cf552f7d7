// SPDX-License-Identifier: MIT
// patch-storm: CPU 0 toggles two immediate values, `toggles=` times in all, while every CPU
// executes their sites in threads, in interrupt handlers and in NMI handlers. No execution may see
// anything but a value before or after, and no NMI may be lost.
//
// Each CPU is sent NMIs and interrupts by its neighbour, the next one as soon as the last has
// begun: so there is mostly one in progress and one pending. The others sleep between two steps of
// the patcher, and each step's synchronisation wakes them: they execute the sites in every state
// the patcher leaves them in, however few host CPUs there are.
//
// Under the policy iret the return of an INT3 lets the pending NMI in. That one ends the run: what
// it has run over cannot go on.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/panic/test_exit.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t default_toggles = 10000;
constexpr uint32_t executions_in_thread = 6; // each time a CPU wakes
constexpr uint32_t executions_in_handler = 2;
constexpr uint8_t storm_vector = 0x51;

/// Executions of the sites in one context of one CPU, which nothing but that changes. What was
/// wrong is told when all is over: no context may print in the middle of another's line.
struct execution_count {
    shared_count all;
    shared_count wrong;
    shared_word<uint32_t> wrong_value; // the last one
};

/// One event that a CPU is sent by its neighbour, and by nobody else.
struct stream {
    shared_count sent;
    shared_count begun;
    execution_count executions;
};

struct storm_cpu {
    stream nmis;
    stream interrupts;
    execution_count executions; // in threads
    shared_count nested;
    shared_flag in_nmi;
};

constinit storm_cpu cpus[most_cpus] = {};
shared_count toggled;
shared_flag stop;

void execute(execution_count& count) {
    ++count.all;
    const sites_seen seen = execute_sites();
    if (is_sound(seen))
        return;
    ++count.wrong;
    count.wrong_value = seen.value;
}

void answer(stream& events) {
    ++events.begun; // the neighbour may send the next one while this one is handled
    for (uint32_t i = 0; i < executions_in_handler; ++i)
        execute(events.executions);
}

void add_up();

/// For the control: the row as far as it has come, from the CPU that was re-entered first. Another
/// may be re-entered meanwhile.
[[noreturn]] void give_up() {
    static bool over;
    if (!__atomic_exchange_n(&over, true, __ATOMIC_RELAXED)) {
        this_cpu().nmisafe.nmi_in_progress = 0; // it is not gone back to
        add_up();
        finish_with_done();
    }
    while (true)
        x86::pause();
}

void on_nmi(trap_frame&) {
    storm_cpu& mine = cpus[this_cpu().id];
    if (mine.in_nmi) {
        ++mine.nested;
        give_up();
    }
    mine.in_nmi = true;
    answer(mine.nmis);
    mine.in_nmi = false;
}

bool on_interrupt(trap_frame&) {
    context::irq_enter();
    answer(cpus[this_cpu().id].interrupts);
    finish_interrupt();
    return true;
}

/// Sends the neighbour what it has none of any more.
void send_to_neighbour(uint32_t self) {
    const uint32_t target = (self + 1) % cpu_count();
    storm_cpu& other = cpus[target];
    if (other.nmis.begun == other.nmis.sent) {
        ++other.nmis.sent;
        send_nmi(target);
    }
    if (other.interrupts.begun == other.interrupts.sent) {
        ++other.interrupts.sent;
        send_interrupt(target, storm_vector);
    }
}

void work(void*) {
    const uint32_t self = this_cpu().id;
    storm_cpu& mine = cpus[self];
    start_tick(); // a wake-up can be lost
    while (!stop) {
        const uint32_t last = synchronisations_here();
        for (uint32_t i = 0; i < executions_in_thread; ++i)
            execute(mine.executions);
        send_to_neighbour(self);
        sleep_unless_synchronised(last);
    }
    stop_tick();
}

/// Patches, and what it has patched is there when it comes back.
void toggle(uint32_t number) {
    const bool second = (number & 2) != 0;
    // A branch that is written half is no instruction, so the controls leave it alone.
    const bool is_value = (number & 1) == 0 || !is_defended();
    const auto result = is_value ? immediate::set(patched_value, second ? value_a : value_b)
                                 : immediate::set(patched_branch, !second);
    if (!result)
        fail("the patcher refused", 0, static_cast<uintptr_t>(result.error()));
    const sites_seen seen = execute_sites();
    if (is_value && seen.value != patched_value.stored())
        fail("the value after set()", patched_value.stored(), seen.value);
    if (!is_value && seen.branch != patched_branch.stored())
        fail("the branch after set()", patched_branch.stored(), seen.branch);
}

void wait_for_answers(stream& events) {
    if (!wait_for([&] { return events.begun == events.sent; }))
        ++scene.count.lost;
}

void require_some(const char* what, uint32_t count) {
    if (count == 0)
        fail(what, 1, 0);
}

void wait_for_all_answers() {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        storm_cpu& one = cpus[id];
        wait_for_answers(one.interrupts);
        wait_for_answers(one.nmis);
        if (one.interrupts.begun != one.interrupts.sent)
            fail("interrupts handled", one.interrupts.sent, one.interrupts.begun);
    }
}

void expect_all_contexts() {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        require_some("executions in a thread", cpus[id].executions.all);
        require_some("executions in interrupts", cpus[id].interrupts.executions.all);
        require_some("executions in NMIs", cpus[id].nmis.executions.all);
    }
    require_some("breakpoints hit in threads", hits_in_threads);
    require_some("breakpoints hit in interrupts", hits_in_interrupts);
    require_some("breakpoints hit in NMIs", hits_in_nmis);
}

/// Prints the row.
void add_up() {
    uint32_t executions = 0;
    uint32_t wrong = 0;
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        storm_cpu& one = cpus[id];
        for (const execution_count* count :
             {&one.executions, &one.interrupts.executions, &one.nmis.executions}) {
            executions += count->all;
            wrong += count->wrong;
            if (count->wrong != 0)
                fail("neither the value before nor the one after", value_a, count->wrong_value);
        }
        scene.count.raised += one.nmis.sent;
        scene.count.handled += one.nmis.begun;
        scene.count.nested += one.nested;
    }
    gather_unsafe_irets();
    scene.count.boundaries = uint32_t{toggled};
    print("executions=", executions, " breakpoints: threads=", uint32_t{hits_in_threads},
          " interrupts=", uint32_t{hits_in_interrupts}, " NMIs=", uint32_t{hits_in_nmis}, "\n");
    print_row(nullptr, false, {"wrong_values", wrong});
}

} // namespace

void patch_storm() {
    const uint32_t toggles = option_number("toggles", default_toggles);
    set_scene(nullptr);
    set_up_patching();
    trap::set_nmi_handler(on_nmi);
    trap::set_handler(storm_vector, on_interrupt);
    for (uint32_t id = 1; id < cpu_count(); ++id)
        run_on(id, work, nullptr);
    for (uint32_t i = 0; i < toggles; ++i) {
        toggle(i);
        ++toggled;
        execute(cpus[0].executions);
        send_to_neighbour(0);
    }
    stop = true;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        wait(id);
    wait_for_all_answers();
    expect_all_contexts();
    add_up();
}

} // namespace kernel
