// SPDX-License-Identifier: MIT
// marker-in-nmi: the RFC's test. NMI handlers execute a trace_mark on an immediate value while the
// marker is being turned on and off, and each time the INT3 stays on it for 10 ms before the switch
// and for 10 ms behind, with NMIs raised all along. Every handler must find the marker as it is at
// that time: on or off, and the probe called or not, with the right arguments.
//
//   turning-on     the marker goes from off to on. The probe is in the list afterwards only
//   turning-off    and back. The probe is out of the list before
//   grace-period   a probe that is being called on another CPU is waited for
//   own-marker     a probe hits its own marker, in the thread and in the NMI that interrupts it: no
//                  more than the cap are under way, the others are counted
//
// As controls, without=grace lets nobody wait, and without=cap lets the probe go as deep as it
// likes. Under the policy iret the breakpoint's return lets the next NMI in on top of the handler.
#include "kernel/common/controls.hpp"
#include "kernel/console/console.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/patching/own_marker.hpp"
#include "kernel/experiments/shared/active_delay.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/trace_mark.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr char format[] = "hit %u frame %p in_nmi %d";

// --- one hit, and what it came to ---------------------------------------------------------------

uint32_t hits;      // executions of the marker so far
uint32_t evaluated; // of its arguments
uint32_t calls;     // of the probe
uint32_t last_hit;  // what the probe was given
const void* last_frame;
bool last_in_nmi;

uint32_t this_hit() {
    ++evaluated;
    return hits;
}

/// Not inlined: it is one site for all contexts.
[[gnu::noinline]] void execute_marker(const void* frame) {
    ++hits;
    trace_mark(kernel, nmi_handler, "hit %u frame %p in_nmi %d", this_hit(), frame,
               context::in_nmi());
}

void on_mark(const marker::marker& which, void* private_data, const marker::arguments& values) {
    ++calls;
    ++*static_cast<uint32_t*>(private_data);
    last_hit = static_cast<uint32_t>(values[0].as_unsigned());
    last_frame = values[1].as_pointer();
    last_in_nmi = values[2].as_signed() != 0;
    if (values.size() != 3 || which.argument_count() != 3)
        fail("arguments", 3, values.size());
}

/// What the marker is to do.
struct mark_state {
    bool on;
    bool calls_probe;
};

void execute_and_check(const void* frame, const mark_state& expected) {
    const uint32_t evaluated_before = evaluated;
    const uint32_t calls_before = calls;
    execute_marker(frame);
    if (evaluated - evaluated_before != expected.on)
        fail("the marker on", expected.on, evaluated - evaluated_before);
    if (calls - calls_before != expected.calls_probe)
        fail("calls of the probe", expected.calls_probe, calls - calls_before);
    if (expected.calls_probe &&
        (last_hit != hits || last_frame != frame || last_in_nmi != context::in_nmi()))
        fail("arguments of the probe", hits, last_hit);
}

// --- the handlers -------------------------------------------------------------------------------

mark_state expected_in_nmi;
uint32_t private_calls;
constinit marker::probe counter(on_mark, &private_calls);

void body(trap_frame& frame) {
    raise_second();
    execute_and_check(&frame, expected_in_nmi);
}

// --- the steps of the patcher -------------------------------------------------------------------

bool done[2];       // the delay, before and behind the switch
bool seen_switched; // by whatever execution in a thread
bool turning_on;
uint32_t passes;
uint32_t sent;

/// Each handler hits the one INT3. Not if a handler was abandoned: it had hit it or had not.
void delay(const mark_state& state) {
    expected_in_nmi = state;
    const uint32_t handled_before = scene.count.handled;
    const uint32_t breakpoints_before = scene.breakpoints;
    const uint32_t calls_before = calls;
    const nmis_of_delay nmis = delay_under_nmis();
    const uint32_t handled = scene.count.handled - handled_before;
    passes += nmis.passes;
    sent += nmis.sent;
    if (nmis.sent < least_sent_in_delay)
        fail("NMIs sent by the other CPU", least_sent_in_delay, nmis.sent);
    if (scene.count.nested != 0)
        return;
    if (scene.breakpoints - breakpoints_before != handled)
        fail("breakpoints differ from handlers", handled, scene.breakpoints - breakpoints_before);
    if (calls - calls_before != (state.calls_probe ? handled : 0))
        fail("calls differ from handlers", handled, calls - calls_before);
}

/// Called before each write to code and after each synchronisation. Whether INT3 stands on the
/// marker, and what for, is found out by executing it.
void at_each_step() {
    const uint32_t breakpoints_before = scene.breakpoints;
    const uint32_t evaluated_before = evaluated;
    execute_marker(nullptr);
    const bool is_on = evaluated != evaluated_before;
    const bool switched = is_on == turning_on;
    if (seen_switched && !switched)
        fail("the marker as before, after it was seen as it is afterwards", turning_on, is_on);
    seen_switched = switched;
    if (scene.breakpoints == breakpoints_before || done[switched])
        return;
    done[switched] = true;
    delay({is_on, false});
}

/// Turns the marker on or off, by its only probe, and prints the row.
template <typename Change>
void path(const char* name, bool on, Change change) {
    set_scene(body);
    set_up_patching();
    done[false] = done[true] = seen_switched = false;
    passes = sent = 0;
    turning_on = on;
    patching_hook = at_each_step;
    const auto changed = change();
    patching_hook = nullptr;
    if (!changed)
        fail("the marker refused", 0, static_cast<uintptr_t>(changed.error()));
    else if ((*changed)->is_on() != on || (*changed)->arm_count() != on)
        fail("the marker's state", on, (*changed)->arm_count());
    if (!done[false] || !done[true])
        fail("delays before and behind the switch", 1, 0);

    // Without INT3.
    const uint32_t breakpoints_before = scene.breakpoints;
    expected_in_nmi = {on, on};
    raise_nmi_here();
    settle();
    execute_and_check(nullptr, expected_in_nmi);
    if (scene.breakpoints != breakpoints_before)
        fail("breakpoints when all is over", 0, scene.breakpoints - breakpoints_before);
    if (private_calls != calls)
        fail("the probe's private count", calls, private_calls);
    scene.count.raised += scene.sender_tickets;
    scene.count.boundaries = passes;
    print(name, ": sent by the other CPU ", sent, ", handlers ", uint32_t{scene.count.handled},
          ", breakpoints in NMI handlers ", uint32_t{hits_in_nmis}, "\n");
    print_row(name, false, {"breakpoints", scene.breakpoints});
}

void check_format() {
    const auto wrong =
        marker::register_probe("kernel", "nmi_handler", "hit %d frame %p in_nmi %d", counter);
    if (wrong || wrong.error() != marker::marker_error::format_mismatch)
        fail("a wrong format", static_cast<uintptr_t>(marker::marker_error::format_mismatch), 0);
    execute_and_check(nullptr, {false, false});
}

auto turn_on() {
    check_format();
    return marker::register_probe("kernel", "nmi_handler", format, counter);
}

auto turn_off() {
    return marker::unregister_probe(counter);
}

// --- grace periods ------------------------------------------------------------------------------

constexpr uint32_t linger_microseconds = 2000;
shared_flag entered;
shared_flag waited_for;
shared_flag left;
shared_flag looked_at;

/// Comes to its end only some time after the other CPU has begun to wait for that; in the control,
/// when that one has looked whether it has.
void on_linger(const marker::marker&, void*, const marker::arguments&) {
    entered = true;
    static_cast<void>(wait_for([] { return bool{waited_for}; }));
    const uint32_t start = ticks();
    while (ticks() - start < ticks_in(linger_microseconds))
        wait_a_little();
    if (is_removed(defence::grace))
        static_cast<void>(wait_for([] { return bool{looked_at}; }));
    left = true;
}

constinit marker::probe lingering(on_linger, nullptr);

void grace_period() {
    set_scene(nullptr);
    set_up_patching();
    const auto on = marker::register_probe("kernel", "lingers", nullptr, lingering);
    run_on(
        1, [](void*) { trace_mark(kernel, lingers, MARK_NOARGS); }, nullptr);
    if (!on || !wait_for([] { return bool{entered}; }))
        fail("the probe was called", 1, 0);
    if (!marker::unregister_probe(lingering))
        fail("the probe could be unregistered", 1, 0);
    if (left)
        fail("the probe did not wait for the other CPU", 0, 1);
    waited_for = true;
    if (!marker::synchronise())
        fail("the grace period could be waited for", 1, 0);
    if (!left)
        fail("the probe was waited for", 1, 0);
    looked_at = true;
    wait(1);
    scene.count.boundaries = 1;
    print_row("grace-period");
}

} // namespace

void marker_in_nmi() {
    if (is_removed(defence::grace))
        return grace_period(); // the other paths do without
    if (is_removed(defence::cap))
        return own_marker();
    path("turning-on", true, turn_on);
    path("turning-off", false, turn_off);
    if (scene.count.nested == 0) // a control has no symptom to show there
        grace_period();
    if (scene.count.nested == 0)
        own_marker();
}

} // namespace kernel
