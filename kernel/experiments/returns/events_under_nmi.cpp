// SPDX-License-Identifier: MIT
// events-under-nmi: as every-instruction, an NMI at every instruction boundary of what else traps.
//
//   debug, machine-check          a thread takes #DB or #MC; the NMI's handler raises another NMI and
//                                 hits INT3
//   nmi-debug, nmi-machine-check  an NMI handler takes one, a second NMI is pended at each boundary
//   wake, tick                    interrupts that end in the scheduler
//   synchronise, flush, grace-period  the interrupts by which a CPU answers another one: code has
//                                 changed, mappings have gone, who waits for a grace period
//
// All are raised by INT n, as no emulator here raises #MC at a given instruction, and interrupts
// would come with the clock. It pushes the same frame; the local APIC's end of interrupt finds
// none.
#include "kernel/cpu/section_end.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/event_windows.h"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_count events; // #DBs and #MCs handled in this pass

bool on_event(trap_frame&) {
    ++events;
    expect_direction_flag_clear();
    return true;
}

void prepare() {
    begin_pass(true);
    events = 0;
}

void expect_events(uint32_t wanted) {
    if (events != wanted)
        fail("#DB or #MC handlers run", wanted, events);
}

void check_interrupt() {
    settle();
    expect_two_handlers(nullptr);
    if (scene.breakpoints != handlers_in_pass)
        fail("breakpoint handlers run", handlers_in_pass, scene.breakpoints);
}

void check_event() {
    check_interrupt();
    expect_events(1);
}

// --- in an NMI ----------------------------------------------------------------------------------

void prepare_nmi() {
    begin_pass(false);
    events = 0;
}

void nmi_debug_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    debug_trap();
}

void nmi_machine_check_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    raise_vector(X86_VECTOR_MC);
}

void check_nmi_debug() {
    expect_two_handlers(window_nmi_debug_end);
    expect_events(handlers_in_pass);
}

void check_nmi_machine_check() {
    expect_two_handlers(window_nmi_machine_check_end);
    expect_events(handlers_in_pass);
}

// --- answers ------------------------------------------------------------------------------------

void prepare_answer() {
    prepare();
    new_grace_period();
}

void check_answer() {
    check_interrupt();
    const uint32_t request = new_grace_period() - 1;
    if (grace_period_answered(0) != request)
        fail("the grace period answered", request, grace_period_answered(0));
}

const swept_path paths[] = {
    {"debug",
     raise_second_and_hit_breakpoint,
     {[] { window_debug(); }, prepare, both_handled, check_event},
     window_debug_begin,
     window_debug_end,
     true,
     X86_VECTOR_DB},
    {"machine-check",
     raise_second_and_hit_breakpoint,
     {[] { window_machine_check(); }, prepare, both_handled, check_event},
     window_machine_check_begin,
     window_machine_check_end,
     true,
     X86_VECTOR_MC},
    {"nmi-debug",
     nmi_debug_body,
     {[] { raise_nmi_in_window(window_nmi_debug); }, prepare_nmi, both_handled, check_nmi_debug},
     window_nmi_debug_begin,
     window_nmi_debug_end,
     false},
    {"nmi-machine-check",
     nmi_machine_check_body,
     {[] { raise_nmi_in_window(window_nmi_machine_check); }, prepare_nmi, both_handled,
      check_nmi_machine_check},
     window_nmi_machine_check_begin,
     window_nmi_machine_check_end,
     false},
};

// In a control a nested NMI abandons what it has interrupted. Of the scheduler the first one only: its lock might be
// held then.
const swept_path interrupt_paths[] = {
    {"wake",
     raise_second_and_hit_breakpoint,
     {[] { window_wake(); }, prepare, both_handled, check_interrupt, true},
     window_wake_begin,
     window_wake_end,
     true},
    {"tick",
     raise_second_and_hit_breakpoint,
     {[] { window_tick(); }, prepare, both_handled, check_interrupt, true},
     window_tick_begin,
     window_tick_end,
     true},
    {"synchronise",
     raise_second_and_hit_breakpoint,
     {[] { window_synchronise(); }, prepare, both_handled, check_interrupt},
     window_synchronise_begin,
     window_synchronise_end,
     true},
    {"flush",
     raise_second_and_hit_breakpoint,
     {[] { window_flush(); }, prepare, both_handled, check_interrupt},
     window_flush_begin,
     window_flush_end,
     true},
    {"grace-period",
     raise_second_and_hit_breakpoint,
     {[] { window_grace_period(); }, prepare_answer, both_handled, check_answer},
     window_grace_period_begin,
     window_grace_period_end,
     true},
};

void raise_interrupt(vector which) {
    raise_vector(static_cast<uintptr_t>(which));
}

} // namespace

extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] void debug_action() {
    debug_trap();
}
[[NMISAFE_ASSEMBLY_CALL]] void machine_check_action() {
    raise_vector(X86_VECTOR_MC);
}
[[NMISAFE_ASSEMBLY_CALL]] void wake_action() {
    raise_interrupt(vector::wake);
}
[[NMISAFE_ASSEMBLY_CALL]] void tick_action() {
    raise_interrupt(vector::tick);
}
[[NMISAFE_ASSEMBLY_CALL]] void synchronise_action() {
    raise_interrupt(vector::synchronise);
}
[[NMISAFE_ASSEMBLY_CALL]] void flush_action() {
    raise_interrupt(vector::flush_tlb);
}
[[NMISAFE_ASSEMBLY_CALL]] void grace_period_action() {
    raise_interrupt(vector::grace_period);
}
}

void events_under_nmi() {
    nmisafe::x86::disable_interrupts();
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_event);
    nmisafe::trap::set_handler(X86_VECTOR_MC, on_event);
    for (const swept_path& which : paths)
        sweep_or_trace(which);
    for (const swept_path& which : interrupt_paths)
        sweep_or_trace(which);
}

} // namespace kernel
