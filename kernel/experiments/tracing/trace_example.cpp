// SPDX-License-Identifier: MIT
// trace-example: something of everything at once, to be looked at: threads that are preempted on all
// CPUs, interrupts, breakpoints and page faults in threads and in NMI handlers, and NMIs that come
// whenever the HPET says.
//
// With trace=on or trace=overwrite, for duration=<ms> (300), or until it is ended from outside
// (duration=0). What is read of the trace and what it says was lost must add up to what is printed
// here as generated.
#include "kernel/common/spinlock.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/events/counts.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "kernel/trace/trace.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t nmi_period_microseconds = 1000;
constexpr unsigned threads_on_cpu = 2;
constexpr unsigned turns_between_faults = 200;

shared_flag is_over;

/// Of the NMI handler on a CPU; those of threads are below.
unsigned nmi_page(uint32_t id) {
    return test_pages - 1 - id;
}

// --- handlers, on all CPUs ----------------------------------------------------------------------

enum word : unsigned { nmis, breakpoints, page_faults, wrong };

void count(word what) {
    this_cpu().experiment[what] += 1;
}

/// The HPET reaches one CPU, which passes it on.
void pass_on() {
    const local_apic::kept_target kept;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        send_nmi(id);
}

void on_nmi(trap_frame& frame) {
    const traced_nmi here(frame);
    count(nmis);
    const uint32_t id = this_cpu().id;
    if (id == 0 && !is_over) {
        pass_on();
        one_shot_arm(ticks_in(nmi_period_microseconds));
    }
    if (this_cpu().experiment[nmis] % 2 == 0) {
        unmap_test_page(nmi_page(id));
        touch_page(nmi_page(id));
    }
    if (this_cpu().experiment[nmis] % 3 == 0)
        hit_breakpoint();
}

bool on_breakpoint(trap_frame& frame) {
    const traced_trap here(frame);
    count(breakpoints);
    return true;
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    const unsigned number = find_test_page(address);
    if (number == test_pages)
        return false;
    map_test_page(number);
    const traced_trap here(frame);
    trace_page_fault(frame, address, false);
    count(page_faults);
    return true;
}

// --- threads ------------------------------------------------------------------------------------

/// Not inlined, and with no call at its end: to be seen in chains of calls.
[[gnu::noinline]] uint32_t work_on(uint32_t value) {
    for (unsigned i = 0; i < 1000; ++i)
        value = value * 1664525 + 1013904223; // Knuth and Lewis
    return value;
}

[[gnu::noinline]] void fault_on(unsigned page) {
    {
        const interrupts_off off; // or another thread would run between
        unmap_test_page(page);
    }
    touch_page(page);
}

void run_worker(void* argument) {
    const auto page = static_cast<unsigned>(reinterpret_cast<uintptr_t>(argument));
    uint32_t value = page;
    for (unsigned turn = 1; !is_over; ++turn) {
        value = work_on(value);
        if (turn % turns_between_faults == 0)
            fault_on(page);
        if (turn % turns_between_faults == turns_between_faults / 2)
            hit_breakpoint();
        if (turn % (5 * turns_between_faults) == 0)
            yield();
    }
    if (!test_page_is_mapped(page) && value == 0)
        count(wrong);
}

void wait_milliseconds(uint32_t duration) {
    for (uint32_t passed = 0; duration == 0 || passed < duration; ++passed) {
        const uint32_t begin = ticks();
        while (ticks() - begin < ticks_in(1000))
            yield();
    }
}

uintptr_t sum(word what) {
    uintptr_t all = 0;
    for (uint32_t id = 0; id < cpu_count(); ++id)
        all += cpu_at(id).experiment[what];
    return all;
}

} // namespace

void trace_example() {
    set_scene(nullptr);
    trap::set_nmi_handler(on_nmi);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_page_fault_handler(on_page_fault);
    thread* workers[most_cpus][threads_on_cpu];
    static constexpr const char* names[threads_on_cpu] = {"worker-a", "worker-b"};
    for (uint32_t id = 0; id < cpu_count(); ++id)
        for (unsigned i = 0; i < threads_on_cpu; ++i)
            workers[id][i] = create_thread(
                id, run_worker, reinterpret_cast<void*>(uintptr_t{id * threads_on_cpu + i}),
                nullptr, names[i]);
    for (uint32_t id = 0; id < cpu_count(); ++id)
        run_on(
            id, [](void*) { start_tick(); }, nullptr);
    one_shot_set_up_nmi(0);
    one_shot_arm(ticks_in(nmi_period_microseconds));

    wait_milliseconds(option_number("duration", 300));

    is_over = true;
    one_shot_shut_down();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        for (thread* worker : workers[id])
            join(worker);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { stop_tick(); }, nullptr);
        wait(id);
    }
    stop_tracing();

    scene.count.handled = static_cast<uint32_t>(sum(nmis));
    scene.count.raised = static_cast<uint32_t>(sum(nmis));
    scene.count.boundaries = static_cast<uint32_t>(sum(page_faults));
    if (sum(wrong) != 0)
        fail("a thread's work", 0, sum(wrong));
    if (sum(breakpoints) == 0 || sum(page_faults) == 0)
        fail("events of each kind", 1, 0);
    print_row(nullptr, false, {"generated", static_cast<uintptr_t>(count_events().generated)});
}

} // namespace kernel
