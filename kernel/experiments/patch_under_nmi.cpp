// SPDX-License-Identifier: MIT
// patch-under-nmi: an NMI at every instruction boundary of the patcher and of its breakpoint
// handler, on one CPU. The NMI's handler raises another NMI and executes the very site that is
// being patched: it must see the value before or after, and once it has seen the one after, never
// the other again.
//
//   value           immediate::set() of a number, all of it
//   branch-on       the same of a static branch, from a NOP to a jump
//   branch-off      and back
//   handler-before  a thread executes a site that holds INT3, before the batch has switched
//   handler-after   the same behind the switch
//
// Under the policy iret the breakpoint's return lets the second NMI in. What it runs over is the
// patcher itself, so the run ends there.
//
// And the costs: rows cost-1, cost-100 and cost-10000 say how many instructions text_patch::apply()
// takes for each site of such a batch.
#include "kernel/core/code.hpp"
#include "kernel/core/command_line.hpp"
#include "kernel/core/thread.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/patch_windows.h"
#include "kernel/experiments/patched_sites.hpp"
#include "kernel/experiments/scene.hpp"
#include "kernel/experiments/sweep.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

bool tracing() {
    return option("mode") == "trace";
}

// --- what is expected of each execution ----------------------------------------------------------

sites_seen before;      // this injection
sites_seen after;       //
shared_flag seen_after; // some execution has seen the new one
shared_count handlers_in_pass;
shared_flag in_window;
bool wrecked; // a nested NMI has abandoned the patcher: nothing may touch the sites any more

bool same(const sites_seen& a, const sites_seen& b) {
    return a.value == b.value && a.branch == b.branch;
}

/// `must_be_after`: the patcher has come back.
void execute_and_check(bool must_be_after) {
    const sites_seen seen = execute_sites();
    if (same(seen, after))
        seen_after = true;
    else if (!same(seen, before))
        fail("neither the value before nor the one after", after.value, seen.value);
    else if (seen_after || must_be_after)
        fail("the value before, after the one after", after.value, seen.value);
}

void nmi_body(trap_frame&) {
    sweep_event();
    ++handlers_in_pass;
    if (wrecked)
        return;
    if (handlers_in_pass == 1)
        raise_nmi_here();
    execute_and_check(false);
}

// --- the windows' actions ------------------------------------------------------------------------

void (*change)();
bool changed;

void change_value() {
    changed = immediate::set(patched_value, after.value).has_value();
}

void change_branch() {
    changed = immediate::set(patched_branch, after.branch).has_value();
}

uint32_t value_in_thread;

} // namespace

extern "C" void patch_action() {
    change();
}

extern "C" void site_action() {
    value_in_thread = execute_sites().value;
}

namespace {

void in_patch_window() {
    if (wrecked)
        return;
    in_window = true;
    window_patch();
    in_window = false;
}

// --- before and after each injection -------------------------------------------------------------

void prepare_pass() {
    handlers_in_pass = 0;
    seen_after = false;
    scene.record_ip = true;
}

/// Outside the window, so that every injection takes the same way through the patcher.
void go_back_to_before() {
    if (!immediate::set(patched_value, before.value) ||
        !immediate::set(patched_branch, before.branch))
        fail("the patcher refused to go back", 1, 0);
}

void prepare_change() {
    wrecked = wrecked || in_window;
    if (!wrecked)
        go_back_to_before();
    changed = false;
    prepare_pass();
}

bool both_handled() {
    return handlers_in_pass == 2;
}

void check_handlers() {
    settle();
    if (handlers_in_pass != 2)
        ++scene.count.lost;
}

void check_change() {
    if (wrecked)
        return;
    check_handlers();
    if (!changed)
        fail("the patcher refused", 1, 0);
    execute_and_check(true);
}

void check_site() {
    check_handlers();
    if (value_in_thread != after.value)
        fail("the thread's value", after.value, value_in_thread);
}

// --- sweeps of the patcher -----------------------------------------------------------------------

void sweep_or_trace(const char* path, const sweep& plan, const char* begin, const char* end) {
    if (tracing()) {
        print_window(path, begin, end);
        plan.prepare();
        plan.window();
        return;
    }
    sweep_nmi(plan);
    scene.count.boundaries = recorded();
    if (hits_in_nmis == 0)
        fail("breakpoints hit in NMI handlers", 1, 0);
    print_row(path, true, {"breakpoints", scene.breakpoints});
    print_recorded(path);
}

void set_up() {
    set_scene(nmi_body);
    set_up_patching();
}

void patcher_path(const char* path, void (*what)(), const sites_seen& from, const sites_seen& to) {
    set_up();
    change = what;
    before = from;
    after = to;
    sweep_or_trace(path, {in_patch_window, prepare_change, both_handled, check_change},
                   window_patch_begin, window_patch_end);
}

// --- sweeps of the breakpoint handler ------------------------------------------------------------

// A second thread patches, and stops in the middle for as long as the sweep takes: when the site
// holds INT3 and that stands for the value wanted.
uint32_t stop_at_value;
shared_flag stopped;
shared_flag go_on;

/// Called before each write and after each synchronisation.
void stop_in_the_middle() {
    const uint32_t hits = scene.breakpoints;
    if (stopped || execute_sites().value != stop_at_value || scene.breakpoints == hits)
        return;
    stopped = true;
    while (!go_on)
        yield();
}

void handler_path(const char* path, bool switched) {
    set_up();
    stopped = false;
    go_on = false;
    before = {value_a, false};
    after = {value_b, false};
    go_back_to_before();
    stop_at_value = switched ? value_b : value_a;
    patching_hook = stop_in_the_middle;
    x86::enable_interrupts();
    thread* const patcher = create_thread(
        0, [](void*) { change_value(); }, nullptr);
    while (!stopped)
        yield();
    x86::disable_interrupts();

    // While the patcher is stopped, nothing changes: all executions see the same.
    before = after = {stop_at_value, false};
    sweep_or_trace(path, {window_site, prepare_pass, both_handled, check_site}, window_site_begin,
                   window_site_end);
    if (scene.count.nested != 0)
        return; // an abandoned handler never says that it is done: the patcher would wait for it
    after = {value_b, false};
    go_on = true;
    x86::enable_interrupts();
    join(patcher);
    x86::disable_interrupts();
    patching_hook = nullptr;
    if (!changed)
        fail("the patcher refused", 1, 0);
    execute_and_check(true);
}

// --- costs ---------------------------------------------------------------------------------------

text_patch::patch cost_batch[PATCH_COST_SITES];

uint64_t read_time_stamp() {
    uint32_t low;
    uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return uint64_t{high} << 32 | low;
}

/// Under -icount shift=6 an instruction takes 64 ns, and the time-stamp counter counts nanoseconds.
void measure_cost(const char* path, uint32_t count) {
    constexpr unsigned instruction_shift = 6;
    set_up();
    const auto first = reinterpret_cast<uintptr_t>(patch_cost_sites);
    for (uint32_t i = 0; i < count; ++i) {
        cost_batch[i] = {};
        cost_batch[i].address = first + i * PATCH_COST_SITE_SIZE;
        cost_batch[i].size = PATCH_COST_SITE_SIZE;
        cost_batch[i].before[0] = cost_batch[i].after[0] = 0xb8;
        cost_batch[i].after[1] = 1;
    }
    const uint64_t start = read_time_stamp();
    const auto applied = text_patch::apply(cost_batch, count);
    const auto instructions =
        static_cast<uint32_t>((read_time_stamp() - start) >> instruction_shift);
    if (!applied || *applied != count)
        fail("sites patched", count, applied.value_or(0));
    for (uint32_t i = 0; i < count; ++i)
        std::swap(cost_batch[i].before, cost_batch[i].after);
    if (!text_patch::apply(cost_batch, count))
        fail("sites patched back", count, 0);
    scene.count.handled = 1; // there are no NMIs in this
    scene.count.boundaries = count;
    print_row(path, false, {"instructions_per_site", instructions / count});
}

} // namespace

void patch_under_nmi() {
    x86::disable_interrupts();
    patcher_path("value", change_value, {value_a, false}, {value_b, false});
    if (scene.count.nested != 0)
        return;
    patcher_path("branch-on", change_branch, {value_a, false}, {value_a, true});
    patcher_path("branch-off", change_branch, {value_a, true}, {value_a, false});
    handler_path("handler-before", false);
    handler_path("handler-after", true);
    if (tracing())
        return;
    measure_cost("cost-1", 1);
    measure_cost("cost-100", 100);
    measure_cost("cost-10000", PATCH_COST_SITES);
}

} // namespace kernel
