// SPDX-License-Identifier: MIT
// trace-example: something of everything at once, to be looked at: threads that are preempted on all
// CPUs, tasks in ring 3 with system calls and page faults, interrupts, breakpoints and page faults in
// threads and in NMI handlers, and NMIs that come whenever the HPET says and take samples: of
// threads, tasks, code with interrupts off and handlers of interrupts, and of a thread whose frame
// pointer leads to a guard page; a marker and a kprobe that are events.
//
// With trace=on or trace=overwrite, for duration=<ms> (300) and until there are samples of each
// kind, or until it is ended from outside (duration=0). What is read of the trace and what it says
// was lost must add up to what is printed here as generated, and its samples to those taken.
#include "kernel/common/spinlock.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/events/counts.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/tracing/example_probes.hpp"
#include "kernel/experiments/tracing/example_task.hpp"
#include "kernel/experiments/tracing/profile_windows.h"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/profile/profile.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "kernel/trace/trace.hpp"
#include "kernel/user/task.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t nmi_period_microseconds = 1000;
constexpr uint8_t work_vector = first_experiment_vector;
constexpr unsigned threads_on_cpu = 3; // the last one runs a task
constexpr unsigned turns_between_faults = 200;

shared_flag is_over;

/// Of the NMI handler on a CPU; those of threads are below.
unsigned nmi_page(uint32_t id) {
    return test_pages - 1 - id;
}

// --- handlers, on all CPUs ----------------------------------------------------------------------

enum word : unsigned {
    nmis,
    breakpoints,
    page_faults,
    bad_frames,
    wrong,
    in_interrupt, // whether a CPU is
    // Samples of ...
    of_threads,
    of_tasks,
    of_interrupts_off,
    of_interrupts,
    words
};
static_assert(words <= sizeof(cpu::experiment) / sizeof(uintptr_t));

void count(word what) {
    this_cpu().experiment[what] += 1;
}

word what_was_interrupted(const trap_frame& frame) {
    if (user::is_from_user(frame))
        return of_tasks;
    if (this_cpu().experiment[in_interrupt] != 0)
        return of_interrupts;
    return (frame.flags & X86_FLAGS_IF) == 0 ? of_interrupts_off : of_threads;
}

void on_nmi(trap_frame& frame) {
    const traced_nmi here(frame);
    count(nmis);
    count(what_was_interrupted(frame));
    take_periodic_sample(frame);
    const unsigned page = nmi_page(this_cpu().id);
    if (this_cpu().experiment[nmis] % 2 == 0) {
        unmap_test_page(page);
        touch_page(page);
    }
    if (this_cpu().experiment[nmis] % 3 == 0)
        hit_breakpoint();
}

bool on_breakpoint(trap_frame& frame) {
    if (on_patched_breakpoint(frame) || handle_user_exception(frame))
        return true;
    const traced_trap here(frame);
    count(breakpoints);
    return true;
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    if (handle_example_task_fault(frame, address) || handle_user_page_fault(frame, address))
        return true;
    const unsigned number = find_test_page(address);
    if (number != test_pages) {
        map_test_page(number);
        count(page_faults);
    } else if (handle_profiling_fault(frame)) {
        count(bad_frames);
    } else {
        return false;
    }
    const traced_trap here(frame);
    trace_page_fault(frame, address, false);
    return true;
}

// --- threads ------------------------------------------------------------------------------------

/// In the guard page below the stack, as of code that keeps something else in that register.
uintptr_t bad_frame_pointer() {
    const auto sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    return stack_top(sp) + page_size / 2; // the page above a stack is the next one's guard
}
constexpr uint32_t spins_with_bad_frame_pointer = 50;

/// Not inlined, with no call at its end, and with a frame, which g++ leaves out of a function that
/// calls none: to be seen in chains of calls.
[[gnu::noinline]] uint32_t work_on(uint32_t value) {
    asm volatile("" : : "r"(__builtin_frame_address(0)));
    for (unsigned i = 0; i < 1000; ++i)
        value = value * 1664525 + 1013904223; // Knuth and Lewis
    return value;
}

void handle_work() {
    context::irq_enter();
    this_cpu().experiment[in_interrupt] = 1;
    {
        const traced_interrupt here(work_vector, "work");
        for (unsigned i = 0; i < turns_between_faults / 5; ++i)
            static_cast<void>(work_on(i));
    }
    this_cpu().experiment[in_interrupt] = 0;
    end_of_interrupt();
    context::irq_exit();
}

bool on_work_interrupt(trap_frame&) {
    handle_work();
    return true;
}

[[gnu::noinline]] void work_with_interrupts_off() {
    const interrupts_off off;
    static_cast<void>(work_on(2));
}

/// What the kernel does for a task.
bool work_for_task() {
    static_cast<void>(work_on(3));
    return !is_over;
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
        if (turn % 5 == 0)
            work_with_interrupts_off();
        if (turn % turns_between_faults == turns_between_faults / 4)
            send_interrupt(this_cpu().id, work_vector);
        if (turn % 10 == 2)
            spin_with_frame_pointer(bad_frame_pointer(), spins_with_bad_frame_pointer, nullptr);
        if (turn % turns_between_faults == 10)
            pass_example_probes(turn);
        if (turn % (5 * turns_between_faults) == 0)
            yield();
    }
    if (!test_page_is_mapped(page) && value == 0)
        count(wrong);
}

bool each_kind_was_seen();

/// Longer on a machine that is so busy that something has not been seen.
void wait_milliseconds(uint32_t duration) {
    constexpr uint32_t patience = 20'000;
    for (uint32_t passed = 0;
         duration == 0 || passed < duration || (passed < patience && !each_kind_was_seen());
         ++passed) {
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

bool each_kind_was_seen() {
    for (const word kind : {breakpoints, page_faults, bad_frames, of_threads, of_tasks,
                            of_interrupts_off, of_interrupts})
        if (sum(kind) == 0)
            return false;
    return true;
}

} // namespace

void trace_example() {
    set_scene(nullptr);
    set_up_example_tasks(work_for_task);
    trap::set_nmi_handler(on_nmi);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(work_vector, on_work_interrupt);
    start_example_probes();
    thread* workers[most_cpus][threads_on_cpu];
    static constexpr const char* names[threads_on_cpu] = {"worker-a", "worker-b", "task"};
    for (uint32_t id = 0; id < cpu_count(); ++id)
        for (unsigned i = 0; i < threads_on_cpu; ++i)
            workers[id][i] = create_thread(
                id, i + 1 < threads_on_cpu ? run_worker : run_example_task,
                reinterpret_cast<void*>(uintptr_t{id * threads_on_cpu + i}), nullptr, names[i]);
    for (uint32_t id = 0; id < cpu_count(); ++id)
        run_on(
            id, [](void*) { start_tick(); }, nullptr);
    start_profiling(nmi_period_microseconds);

    wait_milliseconds(option_number("duration", 300));

    is_over = true;
    stop_profiling();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        for (thread* worker : workers[id])
            join(worker);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { stop_tick(); }, nullptr);
        wait(id);
    }
    stop_example_probes();
    stop_tracing();

    scene.count.handled = static_cast<uint32_t>(sum(nmis));
    scene.count.raised = static_cast<uint32_t>(sum(nmis));
    scene.count.boundaries = static_cast<uint32_t>(sum(page_faults));
    if (sum(wrong) != 0)
        fail("a thread's work", 0, sum(wrong));
    if (!each_kind_was_seen())
        fail("events of each kind", 1, 0);
    if (example_tasks_ended() != cpu_count())
        fail("tasks that have ended", cpu_count(), example_tasks_ended());
    print("profile: ", samples_taken(), " samples\n");
    print_row(nullptr, false, {"generated", static_cast<uintptr_t>(count_events().generated)});
}

} // namespace kernel
