// SPDX-License-Identifier: MIT
// nmi-stepping: a debugger in NMI handlers. Each of its steps goes back by IRET, which unblocks
// NMIs: it raises one at each, and none may get into the handler.
//
//   whole        begins at a breakpoint on the handler's first instruction, steps it to its end, INT3
//                and page fault included; the boundaries reported are those of a run without NMIs, and
//                in assembly those of a list; traced, those of the list alone
//   from-user    the same of an NMI in a task, whose registers come back
//   breakpoints  in the handler, on a faulting instruction, behind an INT3, on writing; others in
//                the thread; #DB, #MC and the end of the handler touch what is watched
//   in-debug     an NMI whose handler is stepped, in the handler of a #DB
//   debug-entry  the same at each boundary of a #DB, from before its entry to after its return: its
//                frame is whole, and DR6 reports what it did
//
// nmi-stepping-storm: another CPU sends NMIs all along, and each handler is stepped.
#include "kernel/common/image.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/nmi_debugger.hpp"
#include "kernel/experiments/shared/active_delay.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/trap/nmi_debug.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

namespace x86 = nmisafe::x86;
using nmisafe::trap::set_debug_control;
using nmisafe::trap::set_nmi_debug_control;
using x86::trap_frame;

trace reference;
uint32_t watched; // by breakpoint 3, in the thread

// --- whole --------------------------------------------------------------------------------------

[[gnu::noinline]] void whole_handler(trap_frame& frame) {
    if (debugger.in_whole) {
        ++scene.count.nested;
        abandon();
    }
    debugger.in_whole = true;
    handle_scene_nmi(frame);
    debugger.in_whole = false;
    debugger.raises = false;
}

void whole_body(trap_frame&) {
    run_stepped_code();
    raise_vector(X86_VECTOR_MC);
}

constexpr uint32_t most_steps_at_end = 200; // of the library's own code, unoptimised

/// Traced, the assembly's alone: the tracer takes another way at each event, as a packet ends or
/// the buffer is full.
void expect_reference(const trace& which) {
    if (is_traced()) {
        expect_listed(which, true);
        return;
    }
    expect("steps of a handler", reference.count, which.count);
    for (uint32_t step = 0; step < which.count && step < reference.count; ++step)
        if (which.ips[step] != reference.ips[step]) {
            fail("a step", reference.ips[step], which.ips[step]);
            break;
        }
}

/// The last steps are the library's, and end there.
void expect_ended(const trace& which) {
    uint32_t at_end = 0;
    while (at_end < which.count && is_trap_text(which.ips[which.count - 1 - at_end]))
        ++at_end;
    if (at_end == 0 || at_end > most_steps_at_end)
        fail("steps behind the handler", 1, at_end);
}

void begin_whole() {
    begin_debugging(whole_body);
    nmisafe::trap::set_nmi_handler(whole_handler);
    debugger.whole = reinterpret_cast<uintptr_t>(whole_handler);
    x86::write_breakpoint_address(0, debugger.whole);
    set_nmi_debug_control(on_execution(0));
}

void step_whole(const char* name, bool (*raise_one)()) {
    constexpr uint32_t passes = 8;
    begin_whole();
    debugger.steps_next = true;
    if (!raise_one() || seen.count == 0 || seen.count > most_steps)
        fail("steps of a handler", 1, seen.count);
    for (uint32_t step = 0; step < seen.count && step < most_steps; ++step)
        reference.ips[step] = seen.ips[step];
    reference.count = seen.count;
    expect_listed(reference, true);
    expect_ended(reference);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        const uint32_t handled = scene.count.handled;
        debugger.steps_next = true;
        debugger.raises = true;
        if (!raise_one())
            continue;
        expect_reference(seen);
        // What was raised at the steps is handled once, behind it.
        if (scene.count.handled - handled < 2)
            fail("handlers run", 2, scene.count.handled - handled);
        scene.count.boundaries += seen.count;
    }
    expect("hits of the breakpoint on the handler", scene.count.handled, debugger.hits[0]);
    expect("#MCs", scene.count.handled, debugger.machine_checks);
    print_row(name);
}

void whole() {
    step_whole("whole", one_nmi);
}

task begun;

bool one_nmi_of_task() {
    debugger.in_whole = false;
    debugger.in_pass = 0;
    const bool completed = run_guarded([] {
        prepare_to_raise_nmi(begun);
        task ended = begun;
        run_task(ended);
        expect_end(begun, ended, instructions(raise_nmi_code));
        settle();
    });
    if (!completed)
        forget_task();
    return completed;
}

void from_user() {
    set_user_scene(whole_body);
    begun = make_task(instructions(raise_nmi_code));
    step_whole("from-user", one_nmi_of_task);
}

// --- breakpoints --------------------------------------------------------------------------------

constexpr uintptr_t of_handler = on_execution(0) | on_writing_4(1) | on_execution(2);
constexpr uintptr_t of_thread = on_execution(3) | on_writing_4(1);

void breakpoints_body(trap_frame&) {
    expect("DR7 in the handler", of_handler, x86::read_dr7());
    run_stepped_code();
    expect("DR7 behind breakpoints in the handler", of_handler, x86::read_dr7());
    raise_vector(X86_VECTOR_MC);
    expect("DR7 behind #MC in the handler", of_handler, x86::read_dr7());
    debugger.raises = false;
}

void expect_hits(uint32_t fault, uint32_t writes, uint32_t behind_int3, uint32_t of_the_thread) {
    expect("hits on the faulting instruction", fault, debugger.hits[0]);
    expect("hits on writing", writes, debugger.hits[1]);
    expect("hits behind INT3", behind_int3, debugger.hits[2]);
    expect("hits of the thread's", of_the_thread, debugger.hits[3]);
}

void breakpoints() {
    constexpr uint32_t passes = 20;
    begin_debugging(breakpoints_body);
    x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(stepped_fault));
    x86::write_breakpoint_address(1, reinterpret_cast<uintptr_t>(&counter));
    x86::write_breakpoint_address(2, reinterpret_cast<uintptr_t>(stepped_after_int3));
    x86::write_breakpoint_address(3, reinterpret_cast<uintptr_t>(stepped_code_last));
    set_nmi_debug_control(of_handler);
    set_debug_control(of_thread);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        debugger.raises = pass % 2 != 0;
        const uint32_t handled = scene.count.handled;
        if (!one_nmi())
            break;
        const uint32_t runs = scene.count.handled - handled;
        expect_hits(runs, 2 * runs, runs, 0);
        expect("DR7 behind the NMI", of_thread, x86::read_dr7());
        for (auto& hit : debugger.hits)
            hit = 0;
        run_stepped_code();
        expect_hits(0, 2, 0, 1);
        for (auto& hit : debugger.hits)
            hit = 0;
        scene.count.boundaries += runs;
    }
    set_debug_control(X86_DR7_DISARMED);
    set_nmi_debug_control(X86_DR7_DISARMED);
    print_row("breakpoints");
}

// --- NMIs in a #DB ------------------------------------------------------------------------------

void step_body(trap_frame&) {
    expect("breakpoints armed in an NMI in a #DB", 0, x86::read_dr7() & X86_DR7_ENABLE_ALL);
    debugger.keeps_stepping = false;
    step_in_stepped_code();
    raise_vector(X86_VECTOR_MC);
    debugger.raises = false;
    if (debugger.steps_to_end) {
        debugger.keeps_stepping = true;
        x86::write_flags(x86::read_flags() | X86_FLAGS_TF);
    }
}

void expect_thread_frame(const trap_frame& frame) {
    if (frame.ip == reinterpret_cast<uintptr_t>(write_watched_end))
        return;
    fail("the frame of a #DB", reinterpret_cast<uintptr_t>(write_watched_end), frame.ip);
    abandon(); // there is no way back
}

void raise_in_debug(trap_frame& frame) {
    expect_thread_frame(frame);
    raise_nmi_here();
    settle();
    expect_thread_frame(frame);
}

void watch() {
    x86::write_breakpoint_address(3, reinterpret_cast<uintptr_t>(&watched));
    set_debug_control(on_writing_4(3));
    // Not armed in an NMI that has interrupted a #DB.
    x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(stepped_fault));
    set_nmi_debug_control(on_execution(0));
}

void in_debug_handler() {
    constexpr uint32_t passes = 10;
    begin_debugging(step_body);
    debugger.at_thread_debug = raise_in_debug;
    watch();
    for (uint32_t pass = 0; pass < passes; ++pass) {
        debugger.raises = pass % 2 != 0;
        debugger.steps_to_end = pass % 4 >= 2;
        debugger.steps_behind = 0;
        debugger.in_pass = 0;
        ++scene.count.boundaries;
        const uint32_t handled = scene.count.handled;
        if (!run_guarded([] { write_watched(&watched); }))
            break;
        const uint32_t most = debugger.steps_to_end ? scene.count.handled - handled : 0;
        if (debugger.steps_behind > most || (most != 0 && debugger.steps_behind == 0))
            fail("steps behind the handler", most, debugger.steps_behind);
    }
    expect("hits of the thread's", scene.count.boundaries, debugger.hits[3]);
    expect("hits in an NMI in a #DB", 0, debugger.hits[0]);
    set_debug_control(X86_DR7_DISARMED);
    set_nmi_debug_control(X86_DR7_DISARMED);
    print_row("in-debug");
}

void entry_body(trap_frame& frame) {
    sweep_event();
    static_cast<void>(first_of_pass(frame));
    step_in_stepped_code();
    debugger.raises = false;
}

shared_count thread_debugs;

void at_swept_debug(trap_frame& frame) {
    ++thread_debugs;
    expect_thread_frame(frame);
    expect("what DR6 reports", 8, x86::read_dr6() & (X86_DR6_HIT_ALL | X86_DR6_SINGLE_STEP));
}

void prepare_entry() {
    begin_pass(true);
    thread_debugs = 0;
    debugger.in_debug = false;
    debugger.raises = true;
    debugger.in_pass = 0;
    set_debug_control(on_writing_4(3));
}

bool entry_handled() {
    return handlers_in_pass >= 1;
}

void check_entry() {
    set_debug_control(X86_DR7_DISARMED);
    settle();
    expect("#DBs of the thread", 1, thread_debugs);
}

void debug_entry() {
    begin_debugging(entry_body);
    debugger.at_thread_debug = at_swept_debug;
    watch();
    set_nmi_debug_control(X86_DR7_DISARMED);
    const bool whole_image = nmisafe::trap::defended(~0U);
    sweep_nmi({[] { window_watched(); }, prepare_entry, entry_handled, check_entry, !whole_image});
    scene.count.boundaries = recorded();
    set_debug_control(X86_DR7_DISARMED);
    print_row("debug-entry");
}

// --- beside another -----------------------------------------------------------------------------

void beside_body(trap_frame&) {
    debugger.in_pass = 0;
    raise_second();
    step_in_stepped_code();
}

} // namespace

void nmi_stepping_storm() {
    set_up_debugger();
    begin_debugging(beside_body);
    const nmis_of_delay from = delay_under_nmis();
    scene.count.raised += scene.sender_tickets;
    if (from.sent < least_sent_in_delay)
        fail("NMIs sent by the other CPU", least_sent_in_delay, from.sent);
    scene.count.boundaries = from.passes;
    print_row(nullptr, false, {"sent_by_other_cpu", scene.sender_tickets});
}

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void watched_action() {
    write_watched(&watched);
}

void nmi_stepping() {
    set_up_debugger();
    x86::disable_interrupts();
    const text part = option("part");
    struct {
        text name;
        text group;
        void (*run)();
    } const parts[] = {
        {"whole", "", whole},
        {"breakpoints", "", breakpoints},
        {"in-debug", "debugs", in_debug_handler},
        {"debug-entry", "debugs", debug_entry},
        {"from-user", "whole", from_user},
    };
    for (const auto& [name, group, run] : parts)
        if (part.empty() || part == name || part == group)
            run();
}

} // namespace kernel
