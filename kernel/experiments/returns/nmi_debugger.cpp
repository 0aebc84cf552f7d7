// SPDX-License-Identifier: MIT
#include "kernel/experiments/returns/nmi_debugger.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/trap/nmi_debug.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/registers.hpp"

uint32_t stepped_code_set, stepped_code_clear;

namespace kernel {

namespace x86 = nmisafe::x86;
using x86::trap_frame;

constinit nmi_debugger debugger{};
trace seen;
uint32_t counter;

void expect(const char* what, uintptr_t expected, uintptr_t found) {
    if (expected != found)
        fail(what, expected, found);
}

namespace {

void raise_if_due() {
    if (debugger.raises && (debugger.in_whole || scene.in_handler))
        raise_nmi_here();
}

/// For controls, in which there is no way on.
[[noreturn]] void give_up() {
    x86::write_dr7(X86_DR7_DISARMED);
    abandon();
}

void on_debug_in_nmi(trap_frame& frame, uintptr_t status) {
    if ((status & X86_DR6_SINGLE_STEP) != 0) {
        // Behind that #DB's stack may be the one that it has elsewhere.
        if (this_cpu().nmisafe.nmi_handler_debugged == 0) {
            if (!debugger.keeps_stepping)
                fail("a step behind the end of the handler", 0, frame.ip);
            ++debugger.steps_behind;
        }
        if (debugger.keeps_stepping)
            frame.flags |= X86_FLAGS_TF;
        if (seen.count < most_steps)
            seen.ips[seen.count] = frame.ip;
        ++seen.count;
    }
    if (debugger.steps_next) {
        debugger.steps_next = false;
        seen.count = 0;
        frame.flags |= X86_FLAGS_TF;
    }
    // Not before the handler can tell that it is nested.
    if (frame.ip != debugger.whole)
        raise_if_due();
}

bool on_debug(trap_frame& frame) {
    if (debugger.in_debug && this_cpu().nmisafe.nmi_in_progress == 0) {
        fail("#DB in a #DB", 0, 1);
        abandon();
    }
    if ((x86::read_dr7() & X86_DR7_ENABLE_ALL) != 0) {
        fail("breakpoints armed in a #DB", 0, x86::read_dr7());
        give_up();
    }
    if (++debugger.in_pass; debugger.in_pass > most_steps) {
        fail("#DBs", most_steps, debugger.in_pass);
        give_up();
    }
    const uintptr_t status = x86::read_dr6();
    // A step reports what a breakpoint would have met also where it is not enabled.
    // [intel/vol3 17.2.3]
    for (unsigned number = 0; number < 4; ++number)
        if ((status >> number & 1) != 0 && (status & X86_DR6_SINGLE_STEP) == 0)
            ++debugger.hits[number];
    if (this_cpu().nmisafe.nmi_in_progress != 0) {
        on_debug_in_nmi(frame, status);
    } else if (debugger.at_thread_debug != nullptr) {
        debugger.in_debug = true;
        debugger.at_thread_debug(frame);
        debugger.in_debug = false;
    }
    return true;
}

bool on_machine_check(trap_frame&) {
    ++debugger.machine_checks;
    *const_cast<volatile uint32_t*>(&counter) = 0;
    hit_breakpoint();
    raise_if_due();
    return true;
}

} // namespace

void set_up_debugger() {
#ifdef __x86_64__
    const uintptr_t top = allocate_stack() - sizeof(nmisafe::user::ist_top);
    *reinterpret_cast<nmisafe::user::ist_top*>(top) = {reinterpret_cast<uintptr_t>(&this_cpu()), 0};
#ifdef NMISAFE_SHADOW_STACK
    const uintptr_t token = allocate_shadow_stack();
#else
    constexpr uintptr_t token = 0;
#endif
    nmisafe::trap::set_up_nmi_debugging(*this_cpu().nmi_block,
                                        static_cast<uint8_t>(interrupt_stack::debug), top, token);
#else
    nmisafe::trap::set_up_nmi_debugging();
#endif
}

void begin_debugging(void (*body)(trap_frame&)) {
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    nmisafe::trap::set_nmi_debug_control(X86_DR7_DISARMED);
    set_scene(body);
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
    nmisafe::trap::set_handler(X86_VECTOR_MC, on_machine_check);
    debugger = nmi_debugger{};
    seen.count = 0;
    stepped_code_set = 0;
    stepped_code_clear = 0;
}

bool one_nmi() {
    debugger.in_whole = false;
    debugger.in_pass = 0;
    return run_guarded([] {
        raise_nmi_here();
        settle();
    });
}

void run_stepped_code() {
    unmap_test_page(0);
    stepped_code(test_page(0), &counter);
}

void expect_listed(const trace& which, bool goes_on) {
    const auto listed = static_cast<uint32_t>(stepped_code_expected_end - stepped_code_expected);
    const auto begin = reinterpret_cast<uintptr_t>(stepped_code_first);
    const auto last = reinterpret_cast<uintptr_t>(stepped_code_last);
    const auto end = reinterpret_cast<uintptr_t>(stepped_code_end);
    uint32_t found = 0;
    for (uint32_t step = 0; step < which.count && step < most_steps; ++step) {
        const uintptr_t ip = which.ips[step];
        if (ip < begin || ip >= end)
            continue;
        if (found < listed)
            expect("a step", stepped_code_expected[found], ip);
        else if (!goes_on || ip <= last)
            fail("a step behind the last", 0, ip);
        if (found < listed || !goes_on)
            ++found;
    }
    expect("steps", listed, found);
}

void step_in_stepped_code() {
    seen.count = 0;
    stepped_code_set = X86_FLAGS_TF;
    stepped_code_clear = X86_FLAGS_TF;
    run_stepped_code();
    stepped_code_set = 0;
    expect_listed(seen, false);
}

} // namespace kernel
