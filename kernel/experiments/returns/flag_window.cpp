// SPDX-License-Identifier: MIT
// flag-window: INT3 in an NMI before nmi_enter() has counted it, and after nmi_exit() has. A return
// that looks at the count (the RFC's) takes IRET there; one that never needs IRET has no such
// window. The traps stand in the lock checker hooks, the first and last thing of nmi_enter() and
// nmi_exit(): controls image only, the normal one has no lock checker.
#include "kernel/console/console.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

constexpr uint32_t passes = 200;

enum class place : uint8_t { entry, exit };
place under_test;
shared_flag armed;
shared_flag between; // the entry's call has been, the exit's not yet

/// Runs in the NMI, outside the counted part: a second NMI is made pending, then the trap.
void trap_outside(place where) {
    if (where != under_test || !armed)
        return;
    armed = false;
    scene.in_handler = true; // from here to the end a further handler is a nested one
    raise_nmi_here();
    hit_breakpoint();
    scene.in_handler = false;
}

/// Called at both places in turn.
void at_window() {
    between = !between;
    trap_outside(between ? place::entry : place::exit);
}

void one_pass() {
    armed = true;
    between = false;
    raise_nmi_here();
    settle();
}

void run(const char* path, place where) {
    under_test = where;
    set_scene(nullptr);
    set_nmi_window_hook(at_window);
    for (uint32_t pass = 0; pass < passes; ++pass)
        run_guarded(one_pass);
    set_nmi_window_hook(nullptr);
    if (scene.breakpoints != passes)
        fail("breakpoints outside the counted part", passes, scene.breakpoints);
    scene.count.boundaries = passes;
    print_row(path);
}

} // namespace

void flag_window() {
    nmisafe::x86::disable_interrupts();
    run("before-nmi-enter", place::entry);
    run("after-nmi-exit", place::exit);
}

} // namespace kernel
