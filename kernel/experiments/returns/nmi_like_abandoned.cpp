// SPDX-License-Identifier: MIT
// A #DB in an NMI leaves both for good. A #DB in an #MC is then none that begins its stack again. A #DB and an #MC in a
// thread leave for good, and leave nothing behind.
#include "kernel/experiments/returns/nmi_like_abandoned.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" const char nmisafe_trap_nmi_exit[]; // in nmi_x86_*.S

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_count hits; // of #DB
shared_flag leaves;
shared_word<uint8_t> watched;
uint32_t thread_count; // of the thread that is interrupted

bool on_debug(trap_frame&) {
    ++hits;
    if (leaves) {
        leaves = false;
        abandon();
    }
    return true;
}

constexpr uintptr_t on_writing = X86_DR7_DISARMED | 1 | 1 << 16;

void expect(const char* what, uintptr_t expected, uintptr_t found) {
    if (expected != found)
        fail(what, expected, found);
}

/// Before the checkpoint puts counts back.
void leave() {
    nmisafe::trap::abandon_nmi_like();
    const auto& cpu = this_cpu().nmisafe;
    expect("#DB and #MC in progress", 0, cpu.nmi_like_in_progress);
    expect("the preempt count", thread_count, nmisafe::context::preempt_count());
    expect("DR7 of one that was left", on_writing, nmisafe::x86::read_dr7());
    expect("DR6 of one that was left", 0, nmisafe::x86::read_dr6() & X86_DR6_HIT_ALL);
#ifdef __x86_64__
    expect("a #DB in progress", 0, cpu.debug_frame);
#endif
    abandon();
}

bool on_event_that_leaves(trap_frame&) {
    ++hits;
    if (leaves) {
        leaves = false;
        leave();
    }
    return true;
}

void leave_by(void (*event)()) {
    leaves = true;
    if (run_guarded(event))
        fail("an event that was to leave came back", 0, 1);
    hits = 0;
    watched = 1; // the breakpoint is armed, and its #DB comes and goes
    expect("hits of a breakpoint behind an event that left", 1, hits);
    ++scene.count.boundaries;
}

void leave_in_thread() {
    namespace x86 = nmisafe::x86;
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_event_that_leaves);
    nmisafe::trap::set_handler(X86_VECTOR_MC, on_event_that_leaves);
    x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(&watched));
    nmisafe::trap::set_debug_control(on_writing);
    thread_count = nmisafe::context::preempt_count();
    for (unsigned round = 0; round < 2; ++round) {
        leave_by([] { watched = 2; });
        leave_by([] { raise_vector(X86_VECTOR_MC); });
    }
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
}

} // namespace

void nmi_like_abandoned() {
    set_scene([](trap_frame&) { debug_trap(); });
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
    nmisafe::trap::set_handler(X86_VECTOR_MC, [](trap_frame&) {
        debug_trap();
        return true;
    });
    leaves = true;
    if (run_guarded([] {
            raise_nmi_here();
            settle();
        }))
        fail("an NMI that its #DB was to leave came back", 0, 1);
    hits = 0;
    if (!run_guarded([] { raise_vector(X86_VECTOR_MC); }) || hits != 1)
        fail("#DBs in an #MC", 1, hits);
    ++scene.count.boundaries;
    leave_in_thread();
}

/// A #DB in an NMI's exit, where that is counted no more, is left as if it were alone.
void crash_nmi_like_left() {
    set_scene(nullptr);
    nmisafe::trap::set_handler(X86_VECTOR_DB, [](trap_frame&) {
        nmisafe::trap::abandon_nmi_like();
        abandon();
        return true;
    });
    nmisafe::x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_exit));
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED | 1);
    static_cast<void>(run_guarded([] {
        raise_nmi_here();
        settle();
    }));
}

} // namespace kernel
