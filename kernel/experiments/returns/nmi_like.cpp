// SPDX-License-Identifier: MIT
// nmi-like: NMI, #DB and #MC, with breakpoints in what they run. None is hit from before the first
// hook of the platform's until after the last, whatever their handlers set and whichever of them
// nest: on x86-64 a #DB would begin its stack again, over the frame of one in progress. Controls
// image only, for its hooks.
//
//   abandoned a #DB in an NMI leaves both for good; then one in an #MC is none that begins its stack again; so does a #DB
//             or #MC in a thread, and what it leaves behind is as before it
//   handlers  each of the three, with each of the others inside: sets DR7 and touches what is
//   watched hooks     the hooks of nmi_enter() and nmi_exit() touch it, run what has a breakpoint,
//   raise #MC changes   a #DB at each instruction of set_debug_control(), which sets something else
//   or nothing status    what DR6 still reports of an earlier #DB, or of another breakpoint,
//   swallows none cr2       page faults in the hooks
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/nmi_like_abandoned.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

namespace x86 = nmisafe::x86;
using nmisafe::trap::set_debug_control;
using x86::trap_frame;

constexpr uintptr_t on_execution(unsigned number) {
    return X86_DR7_DISARMED | uintptr_t{1} << (2 * number);
}
constexpr uintptr_t on_writing(unsigned number) {
    return on_execution(number) | uintptr_t{1} << (16 + 4 * number);
}

enum class event : uint8_t { none, nmi, debug, machine_check };
constexpr event events[] = {event::nmi, event::debug, event::machine_check};

shared_word<uint8_t> watched[2]; // by breakpoints 0 and 1
shared_count hits;               // of #DB
void (*inside)();                // what the handlers do
shared_flag in_debug;

void expect(const char* what, uintptr_t expected, uintptr_t found) {
    if (expected != found)
        fail(what, expected, found);
}

void expect_control(uintptr_t expected) {
    expect("DR7", expected, x86::read_dr7());
    expect("the shadow of DR7", expected, this_cpu().nmisafe.debug_control);
}

void expect_disarmed() {
    expect("breakpoints armed in a handler", 0, x86::read_dr7() & X86_DR7_ENABLE_ALL);
}

void handle() {
    expect_disarmed();
    if (inside != nullptr)
        inside();
    expect_disarmed();
}

bool on_debug(trap_frame&) {
    ++hits;
    if (in_debug) {
        fail("#DB in a #DB", 0, 1);
        abandon();
    }
    in_debug = true;
    handle();
    in_debug = false;
    return true;
}

bool on_machine_check(trap_frame&) {
    handle();
    return true;
}

void nmi_body(trap_frame&) {
    handle();
}

void arm(unsigned number, const volatile void* address, uintptr_t control) {
    x86::write_breakpoint_address(number, reinterpret_cast<uintptr_t>(address));
    set_debug_control(control);
}

/// It has been handled when this returns.
void raise(event which) {
    if (which == event::nmi) {
        raise_nmi_here();
        settle();
    } else if (which == event::debug) {
        debug_trap();
    } else if (which == event::machine_check) {
        raise_vector(X86_VECTOR_MC);
    }
}

void begin() {
    set_debug_control(X86_DR7_DISARMED);
    x86::write_breakpoint_address(1, reinterpret_cast<uintptr_t>(&watched[1]));
    in_debug = false;
    inside = nullptr;
    hits = 0;
}

void guarded(void (*action)()) {
    begin();
    if (!run_guarded(action))
        fail("an action was abandoned", 0, 1);
    set_debug_control(X86_DR7_DISARMED);
    ++scene.count.boundaries;
}

// --- Handlers -----------------------------------------------------------------------------------

event outer_event, inner_event;

void touch_both() {
    watched[0] = 1;
    watched[1] = 1;
}

void set_and_touch() {
    set_debug_control(on_writing(1));
    touch_both();
    const event which = inner_event;
    inner_event = event::none;
    raise(which);
    touch_both();
}

void one_pair() {
    arm(0, &watched[0], on_writing(0));
    inside = set_and_touch;
    if (outer_event == event::debug)
        watched[0] = 2;
    else
        raise(outer_event);
    inside = nullptr;
    expect_control(on_writing(1));
    hits = 0;
    watched[0] = 3; // no longer watched
    watched[1] = 3;
    expect("hits of the breakpoint that the handler set", 1, hits);
    expect_control(on_writing(1));
}

void handlers() {
    for (const event outer : events) {
        outer_event = outer;
        inner_event = event::none;
        guarded(one_pair);
        for (const event inner : events) {
            inner_event = inner;
            if (inner != outer)
                guarded(one_pair);
        }
    }
}

// --- Hooks --------------------------------------------------------------------------------------

shared_flag touching;
shared_flag raising; // a machine check in the hook, whose own hooks raise none

/// Its first instruction has breakpoint 1.
[[gnu::noinline]] void run_in_hook() {
    watched[0] = 1;
}

void touch_in_hook() {
    if (touching) {
        fail("a breakpoint was hit in a hook", 0, 1);
        abandon();
    }
    touching = true;
    run_in_hook();
    touching = false;
    if (!raising)
        return;
    raising = false;
    raise(event::machine_check);
    raising = true;
}

void one_event_with_hooks() {
    arm(0, &watched[0], on_writing(0));
    arm(1, reinterpret_cast<const void*>(run_in_hook), on_writing(0) | on_execution(1));
    set_nmi_window_hook(touch_in_hook);
    if (outer_event == event::debug)
        watched[0] = 2;
    else
        raise(outer_event);
    set_nmi_window_hook(nullptr);
    expect_control(on_writing(0) | on_execution(1));
    expect("#DBs", outer_event == event::debug ? 1 : 0, hits);
    run_in_hook();
    expect("#DBs with the breakpoints back", outer_event == event::debug ? 3 : 2, hits);
}

void hooks() {
    for (const event outer : events) {
        for (const bool with_machine_check : {false, true}) {
            if (with_machine_check && outer == event::machine_check)
                continue;
            touching = false;
            raising = with_machine_check;
            outer_event = outer;
            guarded(one_event_with_hooks);
            set_nmi_window_hook(nullptr);
        }
    }
}

// --- Changes of DR7 -----------------------------------------------------------------------------

shared_count steps;
uint32_t last_step;
uintptr_t set_by_handler; // 0: nothing
uintptr_t set_from, set_to;

/// Single-steps as far as last_step.
bool on_step(trap_frame& frame) {
    ++steps;
    if (steps < last_step)
        return true;
    frame.flags &= ~decltype(frame.flags){X86_FLAGS_TF};
    if (set_by_handler != 0)
        set_debug_control(set_by_handler);
    return true;
}

void one_change() {
    set_debug_control(set_from);
    steps = 0;
    const uintptr_t flags = x86::read_flags();
    x86::write_flags(flags | X86_FLAGS_TF);
    set_debug_control(set_to);
    x86::write_flags(flags);
    const uintptr_t shadow = this_cpu().nmisafe.debug_control;
    if (shadow != set_to && shadow != set_by_handler)
        fail("the shadow of DR7", set_to, shadow);
    expect("DR7 beside its shadow", shadow, x86::read_dr7());
}

void changes() {
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_step);
    for (const uintptr_t from : {uintptr_t{X86_DR7_DISARMED}, on_writing(0)})
        for (const uintptr_t to : {uintptr_t{X86_DR7_DISARMED}, on_writing(1)})
            for (const uintptr_t other :
                 {uintptr_t{0}, uintptr_t{X86_DR7_DISARMED}, on_writing(2)}) {
                set_from = from;
                set_to = to;
                set_by_handler = other;
                last_step = 0;
                do {
                    ++last_step;
                    guarded(one_change);
                } while (steps == last_step); // or it was over before
                if (last_step < 5)
                    fail("instructions stepped", 5, last_step);
            }
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
}

// --- DR6 ----------------------------------------------------------------------------------------

shared_word<uintptr_t> reported; // the latest
uintptr_t skip_to;               // not 0: where the handler goes on

bool on_reported(trap_frame& frame) {
    ++hits;
    set_debug_control(this_cpu().nmisafe.debug_control); // here it leaves DR6 as it is
    reported = x86::read_dr6() & X86_DR6_HIT_ALL;
    if (skip_to != 0)
        frame.ip = skip_to;
    skip_to = 0;
    return true;
}

/// The debug trap, then the breakpoint behind it, which DR6 reports: the next time it must not do
/// so before it is hit.
void reported_once() {
    arm(0, debug_trap_end, on_execution(0));
    for (uint32_t pass = 1; pass <= 2; ++pass) {
        debug_trap();
        expect("the debug trap and the breakpoint behind it", 2 * pass, hits);
        expect("what DR6 reports of a breakpoint", 1, reported);
    }
    set_debug_control(X86_DR7_DISARMED);
    debug_trap();
    expect("what DR6 reports of a debug trap", 0, reported);
}

/// As firmware may leave it.
void reported_before_arming() {
    x86::write_dr6(X86_DR6_CLEAR | 1);
    arm(0, debug_trap_end, on_execution(0));
    debug_trap();
    expect("the debug trap and the breakpoint behind it", 2, hits);
}

/// The handler goes on at an instruction with a breakpoint of its own. What is reported of the
/// first breakpoint, on writing or on another instruction, is nothing of that one's.
void where_the_handler_goes(const void* address, uintptr_t control) {
    arm(1, window_breakpoint_end, on_execution(1));
    arm(0, address, control | on_execution(1));
    skip_to = reinterpret_cast<uintptr_t>(window_breakpoint_end);
    window_page_fault(test_page(0));
    expect("a breakpoint and the one where its handler goes on", 2, hits);
}

void status() {
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_reported);
    guarded(reported_once);
    guarded(reported_before_arming);
    map_test_page(0);
    guarded([] { where_the_handler_goes(window_page_fault_begin, on_execution(0)); });
    guarded([] { where_the_handler_goes(test_page(0), on_writing(0)); });
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
}

// --- CR2 ----------------------------------------------------------------------------------------

constexpr uintptr_t interrupted_cr2 = 0x1234;
bool at_exit; // where the fault is to be
shared_flag entered;

void fault_in_hook() {
    if (entered == at_exit) {
        unmap_test_page(1);
        touch_page(1);
    }
    entered = true;
}

void one_fault() {
    entered = false;
    scene.page_faults = 0;
    set_nmi_window_hook(fault_in_hook);
    x86::write_cr2(interrupted_cr2);
    raise(outer_event);
    const uintptr_t found = x86::read_cr2();
    set_nmi_window_hook(nullptr);
    expect("CR2 after a page fault in a hook", interrupted_cr2, found);
    expect("page faults", 1, scene.page_faults);
}

void cr2() {
    for (const event outer : events)
        for (const bool later : {false, true}) {
            outer_event = outer;
            at_exit = later;
            guarded(one_fault);
        }
}

struct part {
    const char* path;
    void (*run)();
};

} // namespace

void nmi_like() {
    x86::disable_interrupts();
    constexpr part parts[] = {{"handlers", handlers}, {"hooks", hooks},
                              {"changes", changes},   {"status", status},
                              {"cr2", cr2},           {"abandoned", nmi_like_abandoned}};
    const text without = option("without");
    for (const part& which : parts) {
        // The controls show their own parts: a hit in a handler, and a lost CR2.
        const bool shows_dr7 = which.run == handlers || which.run == hooks;
        if ((without == "dr7" && !shows_dr7) || (without == "cr2" && which.run != cr2))
            continue;
        set_scene(nmi_body);
        nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
        nmisafe::trap::set_handler(X86_VECTOR_MC, on_machine_check);
        which.run();
        print_row(which.path);
    }
}

} // namespace kernel
