// SPDX-License-Identifier: MIT
// every-instruction: an NMI at every instruction boundary of the four paths that the library is
// about.
//
//   nmi-breakpoint     an NMI handler hits INT3; the second NMI is pended at each boundary
//   nmi-page-fault     the same with a page fault
//   thread-breakpoint  a thread hits INT3; an NMI is delivered at each boundary, its handler raises
//                      another NMI and hits INT3 itself
//   thread-breakpoint-if  the same in a thread with interrupts on: the return ends in STI and RET
//   thread-page-fault  a thread faults on page 0; the NMI's handler raises another NMI and faults
//   on
//                      page 1 (W16: CR2 is in flight in the thread)
//
// With mode=trace each path is run once, undisturbed, for QEMU's log: the tool compares the return
// addresses recorded here with the instructions QEMU executed.
#include "kernel/core/command_line.hpp"
#include "kernel/core/console.hpp"
#include "kernel/core/test_page.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/scene.hpp"
#include "kernel/experiments/sweep.hpp"
#include "kernel/experiments/windows.h"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

bool tracing() {
    return option("mode") == "trace";
}

// --- what runs in the windows -------------------------------------------------------------------

void nmi_breakpoint_window() {
    raise_nmi_in_window(window_nmi_breakpoint);
}

void nmi_page_fault_window() {
    raise_nmi_in_window(window_nmi_page_fault);
}

void breakpoint_window() {
    window_breakpoint();
}

void page_fault_window() {
    window_page_fault(test_page(0));
}

// --- what the NMI handlers do -------------------------------------------------------------------

shared_count handlers_in_pass;
shared_word<uintptr_t> first_ip;

/// The first handler of a pass; the second must wait until this one has ended.
bool first_of_pass(const trap_frame& frame) {
    ++handlers_in_pass;
    if (handlers_in_pass == 1)
        first_ip = frame.ip;
    return handlers_in_pass == 1;
}

void nmi_breakpoint_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    hit_breakpoint();
}

void nmi_page_fault_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    unmap_test_page(1);
    touch_page(1);
}

void thread_breakpoint_body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    hit_breakpoint();
}

void thread_page_fault_body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    unmap_test_page(1);
    touch_page(1);
}

// --- before and after each injection ------------------------------------------------------------

void prepare() {
    handlers_in_pass = 0;
    scene.breakpoints = 0;
    scene.page_faults = 0;
    unmap_test_page(0);
}

void prepare_and_record() {
    prepare();
    scene.record_ip = true;
}

bool both_handled() {
    return handlers_in_pass == 2;
}

/// Two NMIs were raised. They may be handled as one only if the one-shot fired on the very boundary
/// where the other one was about to be delivered: the hardware holds one.
void expect_two_handlers(const char* raised_at) {
    const bool merged = handlers_in_pass == 1 && first_ip == reinterpret_cast<uintptr_t>(raised_at);
    if (handlers_in_pass != 2 && !merged)
        ++scene.count.lost;
}

void check_breakpoints(uint32_t in_thread) {
    if (scene.breakpoints != handlers_in_pass + in_thread)
        fail("breakpoint handlers run", handlers_in_pass + in_thread, scene.breakpoints);
}

void check_page_faults(uint32_t in_thread) {
    if (scene.page_faults != handlers_in_pass + in_thread)
        fail("page fault handlers run", handlers_in_pass + in_thread, scene.page_faults);
}

void check_nmi_breakpoint() {
    expect_two_handlers(window_nmi_breakpoint_end);
    check_breakpoints(0);
}

void check_nmi_page_fault() {
    expect_two_handlers(window_nmi_page_fault_end);
    check_page_faults(0);
}

void check_thread_breakpoint() {
    settle();
    if (handlers_in_pass != 2)
        ++scene.count.lost;
    check_breakpoints(1);
}

void check_thread_page_fault() {
    settle();
    if (handlers_in_pass != 2)
        ++scene.count.lost;
    check_page_faults(1);
    if (!test_page_is_mapped(0))
        fail("the thread's page was not mapped", 1, 0);
}

// --- the four paths -----------------------------------------------------------------------------

struct path {
    const char* name;
    void (*body)(trap_frame&);
    sweep plan;
    const char* begin;
    const char* end;
    bool delivered_at_once;
};

const path paths[] = {
    {"nmi-breakpoint",
     nmi_breakpoint_body,
     {nmi_breakpoint_window, prepare, both_handled, check_nmi_breakpoint},
     window_nmi_breakpoint_begin,
     window_nmi_breakpoint_end,
     false},
    {"nmi-page-fault",
     nmi_page_fault_body,
     {nmi_page_fault_window, prepare, both_handled, check_nmi_page_fault},
     window_nmi_page_fault_begin,
     window_nmi_page_fault_end,
     false},
    {"thread-breakpoint",
     thread_breakpoint_body,
     {breakpoint_window, prepare_and_record, both_handled, check_thread_breakpoint},
     window_breakpoint_begin,
     window_breakpoint_end,
     true},
    {"thread-breakpoint-if",
     thread_breakpoint_body,
     {window_breakpoint_if, prepare_and_record, both_handled, check_thread_breakpoint},
     window_breakpoint_if_begin,
     window_breakpoint_if_end,
     true},
    {"thread-page-fault",
     thread_page_fault_body,
     {page_fault_window, prepare_and_record, both_handled, check_thread_page_fault},
     window_page_fault_begin,
     window_page_fault_end,
     true},
};

void trace_once(const path& which) {
    print_window(which.name, which.begin, which.end);
    set_scene(which.body);
    prepare();
    which.plan.window();
}

void sweep_path(const path& which) {
    set_scene(which.body);
    sweep_nmi(which.plan);
    scene.count.boundaries = which.delivered_at_once ? recorded() : sweep_injections();
    print_row(which.name, which.delivered_at_once);
    if (which.delivered_at_once)
        print_recorded(which.name);
}

} // namespace

void every_instruction() {
    nmisafe::x86::disable_interrupts();
    for (const path& which : paths) {
        if (tracing())
            trace_once(which);
        else
            sweep_path(which);
    }
}

} // namespace kernel
