// SPDX-License-Identifier: MIT
// every-instruction: an NMI at every instruction boundary of the paths that the library is about.
//
//   nmi-breakpoint     an NMI handler hits INT3; the second NMI is pended at each boundary
//   nmi-page-fault     the same with a page fault
//   thread-breakpoint  a thread hits INT3; an NMI is delivered at each boundary, its handler raises
//                      another NMI and hits INT3 itself
//   thread-breakpoint-if  the same in a thread with interrupts on: the return ends in STI and RET
//   thread-page-fault  a thread faults on page 0; the NMI's handler raises another NMI and
//                      faults on page 1 (W16: CR2 is in flight in the thread)
//
// and of the faults of vmalloc's areas (vmalloc_paths.cpp).
//
// With mode=trace each path is run once, undisturbed, for QEMU's log: the tool compares the return
// addresses recorded here with the instructions QEMU executed. With mode=loop the path that path= names is taken
// for ever, undisturbed: `nmisafe torture` sweeps it from outside, and must see what the sweep from inside saw.
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using nmisafe::x86::trap_frame;

shared_count handlers_in_pass;

namespace {

shared_word<uintptr_t> first_ip;

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

void thread_page_fault_body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    unmap_test_page(1);
    touch_page(1);
}

// --- before and after each injection ------------------------------------------------------------

void prepare() {
    begin_pass(false);
    unmap_test_page(0);
}

void prepare_and_record() {
    begin_pass(true);
    unmap_test_page(0);
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
    expect_two_handlers(nullptr);
    check_breakpoints(1);
}

void check_thread_page_fault() {
    settle();
    expect_two_handlers(nullptr);
    check_page_faults(1);
    if (!test_page_is_mapped(0))
        fail("the thread's page was not mapped", 1, 0);
}

// --- the paths ----------------------------------------------------------------------------------

const swept_path paths[] = {
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
     raise_second_and_hit_breakpoint,
     {breakpoint_window, prepare_and_record, both_handled, check_thread_breakpoint},
     window_breakpoint_begin,
     window_breakpoint_end,
     true},
    {"thread-breakpoint-if",
     raise_second_and_hit_breakpoint,
     {[] { window_breakpoint_if(); }, prepare_and_record, both_handled, check_thread_breakpoint},
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

} // namespace

bool first_of_pass(const trap_frame& frame) {
    ++handlers_in_pass;
    if (handlers_in_pass == 1)
        first_ip = frame.ip;
    return handlers_in_pass == 1;
}

void raise_second_and_hit_breakpoint(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    hit_breakpoint();
}

void begin_pass(bool record) {
    handlers_in_pass = 0;
    scene.breakpoints = 0;
    scene.page_faults = 0;
    scene.record_ip = record;
}

bool both_handled() {
    return handlers_in_pass == 2;
}

void expect_two_handlers(const char* raised_at) {
    constexpr uint32_t most_merged = 16; // injections that can fall on that one boundary
    if (handlers_in_pass == 2)
        return;
    const bool may_be_merged = handlers_in_pass == 1 && raised_at != nullptr &&
                               first_ip == reinterpret_cast<uintptr_t>(raised_at);
    if (!may_be_merged || ++scene.merged > most_merged)
        ++scene.count.lost;
}

namespace {

/// That the path was swept on the gates that the command line asks for.
void expect_entered(uint8_t vector) {
    const uintptr_t entry = option("gates") == "user" ? nmisafe::user::entry_address(vector)
                                                      : nmisafe::trap::entry_address(vector);
    if (!is_recorded(entry))
        fail("no NMI at an entry", entry, vector);
}

} // namespace

void sweep_or_trace(const swept_path& which, nmisafe::trap::page_fault_handler on_page_fault) {
    set_scene(which.body);
    if (on_page_fault != nullptr)
        nmisafe::trap::set_page_fault_handler(on_page_fault);
    const bool is_loop = option("mode") == "loop";
    if (is_loop && option("path") != which.name)
        return;
    if (is_loop) {
        print_window(which.name, which.begin, which.end);
        print("ready to be swept\n");
        for (;;) {
            which.plan.prepare();
            scene.record_ip = false;
            which.plan.window();
        }
    }
    if (option("mode") == "trace") {
        print_window(which.name, which.begin, which.end);
        which.plan.prepare();
        scene.record_ip = false;
        which.plan.window();
        return;
    }
    sweep_nmi(which.plan);
    if (which.entered != 0)
        expect_entered(which.entered);
    scene.count.boundaries = which.delivered_at_once ? recorded() : sweep_injections();
    print_row(which.name, which.delivered_at_once);
    if (which.delivered_at_once)
        print_recorded(which.name);
}

void every_instruction() {
    nmisafe::x86::disable_interrupts();
    if (!is_removed(defence::cr3)) // which matters to vmalloc's paths alone
        for (const swept_path& which : paths)
            sweep_or_trace(which);
    sweep_vmalloc_paths();
}

} // namespace kernel
