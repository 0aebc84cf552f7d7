// SPDX-License-Identifier: MIT
// not-plain: images that POPF and a return cannot restore take IRET, are counted, and say why.
//
//   TF  one instruction runs, then #DB: neither none nor a loop
//   RF  with an instruction breakpoint armed it survives the page fault of the very instruction; with
//       none armed the page fault's RF does not cost an IRET
//   NT, another CS
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" uintptr_t home_code_selector;
uintptr_t home_code_selector;

namespace kernel {
namespace {

using nmisafe::trap::iret_reason;
using nmisafe::x86::trap_frame;

constexpr uint32_t give_up_after = 4; // hits of a breakpoint that should be hit once

uintptr_t flags_to_set;
uint32_t debug_hits;
uintptr_t debug_ip;

bool on_breakpoint(trap_frame& frame) {
    frame.flags |= static_cast<decltype(frame.flags)>(flags_to_set);
    flags_to_set = 0;
    return true;
}

bool on_debug(trap_frame& frame) {
    ++debug_hits;
    debug_ip = frame.ip;
    frame.flags &= ~decltype(frame.flags){X86_FLAGS_TF};
    if (debug_hits == give_up_after)
        nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    return true;
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    show_resume_flag(frame);
    const unsigned number = find_test_page(address);
    if (number == test_pages)
        return false;
    map_test_page(number);
    return true;
}

/// Runs `action`; exactly `expected` returns must have taken IRET, the last for `reason`.
template <typename Action>
void expect_irets(uint32_t expected, iret_reason reason, Action action) {
    auto& cpu = this_cpu().nmisafe;
    const uint32_t before = cpu.iret_returns;
    cpu.last_iret_reason = 0;
    action();
    if (cpu.iret_returns - before != expected)
        fail("returns by IRET", expected, cpu.iret_returns - before);
    if (cpu.last_iret_reason != static_cast<uint32_t>(reason))
        fail("the reason of the last IRET", static_cast<uint32_t>(reason), cpu.last_iret_reason);
    ++scene.count.boundaries;
}

void trap_flag() {
    debug_hits = 0;
    expect_irets(1, iret_reason::trap_flag, [] {
        flags_to_set = X86_FLAGS_TF;
        const uintptr_t ran = step_once();
        if (ran != 2)
            fail("instructions run after the step", 2, ran);
    });
    if (debug_hits != 1)
        fail("single steps", 1, debug_hits);
    if (debug_ip != reinterpret_cast<uintptr_t>(step_once_first_done))
        fail("the step's #DB came at", reinterpret_cast<uintptr_t>(step_once_first_done), debug_ip);
}

void nested_task() {
    expect_irets(1, iret_reason::nested_task, [] {
        round_trip_in.flags = X86_FLAGS_FIXED | X86_FLAGS_NT;
        round_trip_pad = 0;
        round_trip_breakpoint();
        if ((round_trip_out.flags & X86_FLAGS_NT) == 0)
            fail("NT after the return", X86_FLAGS_NT, round_trip_out.flags);
    });
}

void other_segment() {
    home_code_selector = nmisafe::x86::read_cs();
    expect_irets(1, iret_reason::other_segment, [] {
        const uintptr_t found = in_other_segment(alias_code_selector);
        if (found != alias_code_selector)
            fail("CS after the return", alias_code_selector, found);
    });
}

/// DR7: breakpoint 0, enabled on this CPU, on execution.
constexpr uintptr_t execute_breakpoint_0 = X86_DR7_DISARMED | 1;

void resume_flag() {
    // No breakpoint armed: the fault's RF does not matter.
    unmap_test_page(0);
    expect_irets(0, iret_reason::none, [] { window_page_fault(test_page(0)); });

    // Armed on the instruction that faults: #DB, which sets RF; #PF with RF; the instruction runs.
    unmap_test_page(0);
    debug_hits = 0;
    expect_irets(2, iret_reason::resume_flag, [] {
        nmisafe::x86::write_breakpoint_address(
            0, reinterpret_cast<uintptr_t>(window_page_fault_begin));
        nmisafe::trap::set_debug_control(execute_breakpoint_0);
        window_page_fault(test_page(0));
        nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    });
    if (debug_hits != 1)
        fail("hits of one breakpoint", 1, debug_hits);
}

/// A #DB that is no instruction breakpoint must not swallow the breakpoint on the next instruction.
void breakpoint_after_debug_trap() {
    debug_hits = 0;
    expect_irets(1, iret_reason::resume_flag, [] {
        nmisafe::x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(debug_trap_end));
        nmisafe::trap::set_debug_control(execute_breakpoint_0);
        debug_trap();
        nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    });
    if (debug_hits != 2)
        fail("the debug trap and the breakpoint behind it", 2, debug_hits);
}

// DR7: breakpoint 0, enabled on this CPU, on writing a byte.
constexpr uintptr_t write_breakpoint_0 = X86_DR7_DISARMED | 1 | 1 << 16;
uint8_t watched;

/// The handler of a data breakpoint touches the watched byte itself, and faults.
bool touch_watched(trap_frame&) {
    ++debug_hits;
    *const_cast<volatile uint8_t*>(&watched) = 1;
    unmap_test_page(2);
    touch_page(2);
    return debug_hits < give_up_after;
}

void debug_handler_is_not_reentered() {
    debug_hits = 0;
    nmisafe::trap::set_handler(X86_VECTOR_DB, touch_watched);
    expect_irets(0, iret_reason::none, [] {
        nmisafe::x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(&watched));
        nmisafe::trap::set_debug_control(write_breakpoint_0);
        nmisafe::x86::write_cr2(0x1234);
        *const_cast<volatile uint8_t*>(&watched) = 2;
        if (nmisafe::x86::read_cr2() != 0x1234)
            fail("CR2 after #DB", 0x1234, nmisafe::x86::read_cr2());
        if (nmisafe::x86::read_dr7() != write_breakpoint_0)
            fail("DR7 after #DB", write_breakpoint_0, nmisafe::x86::read_dr7());
        nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    });
    if (debug_hits != 1)
        fail("hits of a data breakpoint", 1, debug_hits);
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
}

void nmi_body(trap_frame&) {
    // Inside an NMI breakpoints are disarmed, so a page fault's RF cannot force an IRET.
    unmap_test_page(1);
    touch_page(1);
}

void armed_while_nmi() {
    expect_irets(0, iret_reason::none, [] {
        nmisafe::x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(step_once));
        nmisafe::trap::set_debug_control(execute_breakpoint_0);
        raise_nmi_here();
        settle();
        if (nmisafe::x86::read_dr7() != execute_breakpoint_0)
            fail("DR7 after the NMI", execute_breakpoint_0, nmisafe::x86::read_dr7());
        nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    });
}

/// An IRET that could not be avoided inside an NMI is visible to whoever looks.
void visible_in_nmi_body(trap_frame&) {
    flags_to_set = X86_FLAGS_NT;
    hit_breakpoint();
    nmisafe::x86::write_flags(nmisafe::x86::read_flags() & ~uintptr_t{X86_FLAGS_NT});
}

void visible_in_nmi() {
    auto& cpu = this_cpu().nmisafe;
    const uint32_t before = cpu.iret_returns_in_nmi;
    scene.body = visible_in_nmi_body;
    expect_irets(1, iret_reason::nested_task, [] {
        raise_nmi_here();
        settle();
    });
    if (cpu.iret_returns_in_nmi - before != 1)
        fail("IRETs counted inside the NMI", 1, cpu.iret_returns_in_nmi - before);
    cpu.iret_returns_in_nmi = before; // made on purpose, not a finding
}

void install() {
    set_scene(nmi_body);
    nmisafe::trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
    nmisafe::trap::set_page_fault_handler(on_page_fault);
}

} // namespace

void not_plain() {
    nmisafe::x86::disable_interrupts();
    install();
    trap_flag();
    resume_flag();
    nested_task();
    other_segment();
    armed_while_nmi();
    breakpoint_after_debug_trap();
    debug_handler_is_not_reentered();
    visible_in_nmi();
    print_row(nullptr);
}

} // namespace kernel
