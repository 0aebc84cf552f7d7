// SPDX-License-Identifier: MIT
// nmi-state: an NMI, at every boundary of a window, leaves CR2 and GS base as it found them,
// although its handler faults and uses this CPU's data; and DR7 as it found it, or as its handler
// asked.
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_count handlers;
uintptr_t gs_found;

bool arrived() {
    return handlers != 0;
}

void expect_handler() {
    if (handlers != 1)
        ++scene.count.lost;
}

void fault_in_nmi(trap_frame&) {
    sweep_event();
    ++handlers;
    unmap_test_page(1);
    touch_page(1);
}

// --- CR2: the thread's own page fault is under way ----------------------------------------------

void prepare_cr2() {
    handlers = 0;
    scene.page_faults = 0;
    unmap_test_page(0);
}

void window_cr2() {
    window_page_fault(test_page(0));
}

void check_cr2() {
    expect_handler();
    if (scene.page_faults != 2) // one in the thread, one in the NMI; a lost CR2 faults again
        fail("page faults", 2, scene.page_faults);
}

// --- DR7 ----------------------------------------------------------------------------------------

// Breakpoint 0 on execution of step_once(), which nothing calls here.
constexpr uintptr_t thread_control = X86_DR7_DISARMED | 0x1;
// Breakpoint 1, on execution, as the handler asks for it. RF must not matter in the NMI for that.
constexpr uintptr_t handler_control = X86_DR7_DISARMED | 0x4;
uintptr_t expected_control;

void expect_disarmed() {
    if (nmisafe::x86::read_dr7() != X86_DR7_DISARMED)
        fail("DR7 inside the NMI", X86_DR7_DISARMED, nmisafe::x86::read_dr7());
}

void fault_disarmed(trap_frame& frame) {
    expect_disarmed();
    fault_in_nmi(frame);
}

void arm_in_nmi(trap_frame& frame) {
    expect_disarmed();
    nmisafe::trap::set_debug_control(handler_control);
    fault_disarmed(frame);
}

void prepare_dr7() {
    handlers = 0;
    expected_control = thread_control;
    nmisafe::x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(step_once));
    nmisafe::trap::set_debug_control(thread_control);
}

void prepare_dr7_unarmed() {
    handlers = 0;
    expected_control = handler_control;
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
}

void window_dr7() {
    window_nothing(10);
}

void check_dr7() {
    expect_handler();
    if (nmisafe::x86::read_dr7() != expected_control)
        fail("DR7 after the NMI", expected_control, nmisafe::x86::read_dr7());
    if (this_cpu().nmisafe.debug_control != expected_control)
        fail("the shadow of DR7", expected_control, this_cpu().nmisafe.debug_control);
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
}

/// DR7 and its shadow are being changed, and the handler changes them too: whoever comes last, they
/// agree. And at no boundary may a page fault in the NMI have to take IRET.
void window_dr7_change() {
    nmisafe::trap::set_debug_control(thread_control);
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
}

void check_dr7_change() {
    expected_control = this_cpu().nmisafe.debug_control;
    if (expected_control != X86_DR7_DISARMED && expected_control != handler_control)
        fail("the shadow of DR7", X86_DR7_DISARMED, expected_control);
    check_dr7();
}

/// The NMI lands in a #DB: whoever of the two is over last arms what the NMI's handler asked for.
bool on_debug(trap_frame&) {
    return true;
}

void window_debug() {
    debug_trap();
}

void prepare_dr7_debug() {
    prepare_dr7();
    expected_control = handler_control;
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
}

// --- GS -----------------------------------------------------------------------------------------

uintptr_t foreign_gs;

void prepare_gs(uintptr_t foreign) {
    handlers = 0;
    foreign_gs = foreign;
}

#ifdef __x86_64__
// As user mode would leave it; and two that differ from the kernel's in one half only.
void prepare_gs_user() {
    prepare_gs(0x00007fff12345000);
}
void prepare_gs_low() {
    prepare_gs(reinterpret_cast<uintptr_t>(&this_cpu()) ^ 0x00100000);
}
void prepare_gs_high() {
    prepare_gs(reinterpret_cast<uintptr_t>(&this_cpu()) ^ uintptr_t{1} << 40);
}
#else
void prepare_gs_user() {
    prepare_gs(spare_data_selector);
}
void prepare_gs_low() {
    prepare_gs(0);
} // the null selector
void prepare_gs_high() {
    prepare_gs(data_selector);
}
#endif

void window_gs() {
    gs_found = with_foreign_gs(foreign_gs);
}

void check_gs() {
    expect_handler();
    if (gs_found != foreign_gs)
        fail("GS after the NMI", foreign_gs, gs_found);
}

struct part {
    const char* name;
    const char* defence; // the control that shows this part
    void (*body)(trap_frame&);
    sweep plan;
};

const part parts[] = {
    {"cr2", "cr2", fault_in_nmi, {window_cr2, prepare_cr2, arrived, check_cr2}},
    {"dr7", "dr7", fault_disarmed, {window_dr7, prepare_dr7, arrived, check_dr7}},
    {"dr7-unarmed", "dr7", arm_in_nmi, {window_dr7, prepare_dr7_unarmed, arrived, check_dr7}},
    {"dr7-change",
     nullptr,
     arm_in_nmi,
     {window_dr7_change, prepare_dr7_unarmed, arrived, check_dr7_change}},
    {"dr7-debug", nullptr, arm_in_nmi, {window_debug, prepare_dr7_debug, arrived, check_dr7}},
    {"gs", "gs", fault_in_nmi, {window_gs, prepare_gs_user, arrived, check_gs}},
    {"gs-low", "gs", fault_in_nmi, {window_gs, prepare_gs_low, arrived, check_gs}},
    {"gs-high", "gs", fault_in_nmi, {window_gs, prepare_gs_high, arrived, check_gs}},
};

} // namespace

void nmi_state() {
    nmisafe::x86::disable_interrupts();
    const text without = option("without");
    for (const part& which : parts) {
        // A control shows its own parts.
        if (!without.empty() && (which.defence == nullptr || without != which.defence))
            continue;
        set_scene(which.body);
        sweep_nmi(which.plan);
        scene.count.boundaries = sweep_injections();
        print_row(which.name);
    }
}

} // namespace kernel
