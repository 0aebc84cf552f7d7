// SPDX-License-Identifier: MIT
// every-instruction's paths through the page faults of vmalloc's areas. An NMI handler touches a
// page whose entry its address space lacks:
//
//   nmi-vmalloc     a second NMI is pended at each boundary
//   thread-vmalloc  a thread faults on page 0; an NMI is delivered at each boundary, its handler
//                   raises another NMI and faults on page 1
//   switch-vmalloc  a thread gives way to one in another address space, and that one at once gives
//                   way again; the NMI is delivered at each boundary of both switches: so also
//                   where CR3 and the running thread belong to different address spaces (W17)
//   switch-fault    a thread itself faults on page 0 there, between CR3 and the rest of a switch;
//                   an NMI is delivered at each boundary of that, its handler faults on page 1
#include "kernel/common/controls.hpp"
#include "kernel/experiments/mappings/vmalloc_windows.h"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/lazy_pages.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

address_space* space; // lacks what is touched

void touch_lazy_page(unsigned number) {
    if (lazy_page(number) != number)
        fail("a lazy page's content", number, lazy_page(number));
}

bool in_space() {
    return x86::read_cr3() == space->top_table;
}

/// Page faults there must have been by now.
shared_count expected_faults;

void touch_and_count(unsigned number) {
    if (in_space() && !has_lazy_page(*space, number))
        ++expected_faults;
    touch_lazy_page(number);
}

void prepare(bool record) {
    begin_pass(record);
    expected_faults = 0;
    forget_lazy_pages(*space);
}

void check_faults() {
    if (scene.page_faults != expected_faults)
        fail("page faults", expected_faults, scene.page_faults);
}

void check_both() {
    settle();
    expect_two_handlers(nullptr);
    check_faults();
}

// --- in an NMI ----------------------------------------------------------------------------------

void nmi_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    touch_and_count(0);
}

void nmi_window() {
    raise_nmi_in_window(window_nmi_vmalloc);
}

void check_nmi() {
    expect_two_handlers(window_nmi_vmalloc_end);
    check_faults();
}

// --- in a thread --------------------------------------------------------------------------------

void body_on_page_1(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    touch_and_count(1);
}

void prepare_thread() {
    prepare(true);
    expected_faults = 1; // the thread's
}

// --- in the middle of a switch ------------------------------------------------------------------

shared_flag partner_ends;
shared_count partner_turns;

void partner(void*) {
    x86::disable_interrupts();
    while (!partner_ends) {
        ++partner_turns;
        yield();
    }
}

void body_in_switch(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    touch_and_count(0);
}

void prepare_switch() {
    prepare(true);
    partner_turns = 0;
}

/// A control: looks the fault up in the running thread's address space. Where that has the entry
/// there is nothing to be done, and the fault comes again; here it is noticed, and mended.
bool naive_page_fault(trap_frame& frame, uintptr_t address) {
    static uintptr_t latest;
    ++scene.page_faults;
    show_resume_flag(frame);
    if (latest != address && has_lazy_page(thread_space(), 0)) {
        latest = address;
        return true;
    }
    if (latest == address)
        fail("the same page fault again", 0, address);
    latest = 0;
    return resolve_lazy_fault(frame, address);
}

void check_switch() {
    check_both();
    if (partner_turns != 1)
        fail("turns of the other thread", 1, partner_turns);
}

const swept_path in_the_space[] = {
    {"nmi-vmalloc",
     nmi_body,
     {nmi_window, [] { prepare(false); }, both_handled, check_nmi},
     window_nmi_vmalloc_begin,
     window_nmi_vmalloc_end,
     false},
    {"thread-vmalloc",
     body_on_page_1,
     {[] { window_thread_vmalloc(); }, prepare_thread, both_handled, check_both},
     window_thread_vmalloc_begin,
     window_thread_vmalloc_end,
     true},
};

const swept_path in_the_kernels_space[] = {
    {"switch-vmalloc",
     body_in_switch,
     {[] { window_switch(); }, prepare_switch, both_handled, check_switch},
     window_switch_begin,
     window_switch_end,
     true},
    {"switch-fault",
     body_on_page_1,
     {[] { window_switch_fault(); }, prepare_thread, both_handled, check_both},
     window_switch_fault_begin,
     window_switch_fault_end,
     true},
};

void sweep_in_space(void*) {
    x86::disable_interrupts();
    for (const swept_path& which : in_the_space)
        sweep_or_trace(which);
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void thread_vmalloc_action() {
    touch_lazy_page(0);
}

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void switch_action() {
    yield();
}

/// CR3 is the other space's already, the running thread still one of the kernel's own.
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void switch_fault_action() {
    x86::write_cr3(space->top_table);
    touch_lazy_page(0);
    x86::write_cr3(kernel_space().top_table);
}

void sweep_vmalloc_paths() {
    set_up_lazy_pages();
    space = create_address_space();
    if (!is_removed(defence::cr3))
        join(create_thread(0, sweep_in_space, nullptr, space));
    // A nested NMI would abandon a switch half-way, and nothing runs after that.
    if (trap::current_policy() == trap::return_policy::iret)
        return;
    thread* const other = create_thread(0, partner, nullptr, space);
    yield(); // its first turn goes another way than all others
    for (const swept_path& which : in_the_kernels_space)
        sweep_or_trace(which, is_removed(defence::cr3) ? naive_page_fault : nullptr);
    partner_ends = true;
    join(other);
}

} // namespace kernel
