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
// Without the INT3, or without what its handler does, a value is seen that is neither.
//
// Under the policy iret the breakpoint's return lets the second NMI in. What it runs over is the
// patcher itself, so the run ends there.
//
// With mode=trace each path is run once, undisturbed, for QEMU's log: the tool compares the return
// addresses recorded here with the instructions QEMU executed.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patch_windows.h"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

bool tracing() {
    return option("mode") == "trace";
}

// --- what is expected of each execution ----------------------------------------------------------

uint32_t wrong_values;  // seen on this path: neither before nor after
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
    else if (!same(seen, before)) {
        ++wrong_values;
        fail("neither the value before nor the one after", after.value, seen.value);
    } else if (seen_after || must_be_after)
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
x86::assembly_function* patch_window;
bool changed;

void change_value() {
    changed = immediate::set(patched_value, after.value).has_value();
}

void change_branch() {
    changed = immediate::set(patched_branch, after.branch).has_value();
}

uint32_t value_in_thread;

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void patch_action() {
    change();
}

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void site_action() {
    value_in_thread = execute_sites().value;
}

namespace {

void in_patch_window() {
    if (wrecked)
        return;
    in_window = true;
    patch_window();
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

void sweep_or_trace(const char* path, const sweep& plan, const code_window& window) {
    if (tracing()) {
        print_window(path, window.begin, window.end);
        plan.prepare();
        plan.window();
        return;
    }
    sweep_nmi(plan);
    scene.count.boundaries = recorded();
    if (hits_in_nmis == 0)
        fail("breakpoints hit in NMI handlers", 1, 0);
    print_row(path, true, {"wrong_values", wrong_values});
    print_recorded(path);
}

void set_up() {
    set_scene(nmi_body);
    set_up_patching();
    wrong_values = 0;
}

void patcher_path(const char* path, void (*what)(), const sites_seen& from, const sites_seen& to,
                  const code_window& window) {
    set_up();
    change = what;
    patch_window = window.run;
    before = from;
    after = to;
    sweep_or_trace(path, {in_patch_window, prepare_change, both_handled, check_change}, window);
}

// --- sweeps of the breakpoint handler ------------------------------------------------------------

void handler_path(const char* path, bool switched, const code_window& window) {
    set_up();
    before = {value_a, false};
    after = {value_b, false};
    go_back_to_before();
    const uint32_t stop_at = switched ? value_b : value_a;
    begin_stopped_patch(stop_at);

    // While the patcher is stopped, nothing changes: all executions see the same.
    before = after = {stop_at, false};
    patch_window = window.run;
    sweep_or_trace(path, {[] { patch_window(); }, prepare_pass, both_handled, check_site}, window);
    if (scene.count.nested != 0)
        return; // an abandoned handler never says that it is done: the patcher would wait for it
    after = {value_b, false};
    if (!end_stopped_patch())
        fail("the patcher refused", 1, 0);
    execute_and_check(true);
}

} // namespace

void patch_under_nmi() {
    x86::disable_interrupts();
    patcher_path("value", change_value, {value_a, false}, {value_b, false},
                 {window_value, window_value_begin, window_value_end});
    // A branch that is written half is no instruction: only a value shows the harm in good order.
    if (scene.count.nested != 0 || !is_defended())
        return;
    patcher_path("branch-on", change_branch, {value_a, false}, {value_a, true},
                 {window_branch_on, window_branch_on_begin, window_branch_on_end});
    patcher_path("branch-off", change_branch, {value_a, true}, {value_a, false},
                 {window_branch_off, window_branch_off_begin, window_branch_off_end});
    handler_path("handler-before", false,
                 {window_handler_before, window_handler_before_begin, window_handler_before_end});
    handler_path("handler-after", true,
                 {window_handler_after, window_handler_after_begin, window_handler_after_end});
}

} // namespace kernel
