// SPDX-License-Identifier: MIT
// interrupt-storm: a return into code with interrupts enabled lets no interrupt land between the
// flags and the return, so that a storm cannot grow the stack.
//
//   storm            each interrupt's handler raises the next one: the stack may not grow
//   every-boundary   the one-shot, as an interrupt, at every boundary of a breakpoint's round trip
//   nmi-in-shadow    an NMI at every boundary of that round trip while an interrupt is pending:
//   also an
//                    NMI inside the shadow of STI, which QEMU delivers, must not spoil it
#include "kernel/common/image.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

constexpr uint8_t storm_vector = 0x50;
constexpr uint32_t storm_length = 100; // short enough for a control that grows the stack each time

uint32_t remaining;      // interrupts the storm still raises
uintptr_t highest_frame; // where the first interrupt's frame was
uintptr_t lowest_frame;
shared_count interrupts;
shared_count handlers; // of NMIs
shared_flag raise_from_breakpoint;

/// No interrupt may come while the entry code, which is the return code, holds a stack.
void check_place(const trap_frame& frame) {
    if (is_trap_text(frame.ip))
        fail("an interrupt landed inside a return", 0, frame.ip);
}

bool on_interrupt(trap_frame& frame) {
    ++interrupts;
    sweep_event();
    check_place(frame);
    const auto address = reinterpret_cast<uintptr_t>(&frame);
    highest_frame = address > highest_frame ? address : highest_frame;
    lowest_frame = address < lowest_frame ? address : lowest_frame;
    end_of_interrupt();
    if (remaining != 0) {
        --remaining;
        send_interrupt(0, storm_vector);
    }
    return true;
}

/// Interrupts are off in here: what is raised now is pending when the breakpoint returns.
bool on_breakpoint(trap_frame&) {
    ++scene.breakpoints;
    if (raise_from_breakpoint)
        send_interrupt(0, storm_vector);
    return true;
}

void interruptible_window() {
    nmisafe::x86::enable_interrupts();
    window_breakpoint();
    nmisafe::x86::disable_interrupts();
}

void install(void (*body)(trap_frame&)) {
    set_scene(body);
    nmisafe::trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    nmisafe::trap::set_handler(storm_vector, on_interrupt);
    interrupts = 0;
    handlers = 0;
    remaining = 0;
    highest_frame = 0;
    lowest_frame = ~uintptr_t{0};
    raise_from_breakpoint = true;
}

void storm() {
    install(nullptr);
    remaining = storm_length;
    interruptible_window();
    if (interrupts != storm_length + 1)
        fail("interrupts of the storm", storm_length + 1, interrupts);
    scene.count.boundaries = interrupts;
    const uintptr_t growth = highest_frame - lowest_frame;
    if (growth != 0)
        fail("the storm grew the stack by", 0, growth);
    print_row("storm", false, {"stack_growth", growth});
}

// --- the one-shot as interrupt ------------------------------------------------------------------

void prepare_interrupt() {
    interrupts = 0;
}

bool interrupt_arrived() {
    return interrupts != 0;
}

void check_interrupt() {
    if (interrupts != 1)
        fail("interrupts of one injection", 1, interrupts);
}

void every_boundary() {
    install(nullptr);
    raise_from_breakpoint = false;
    sweep_interrupt({interruptible_window, prepare_interrupt, interrupt_arrived, check_interrupt},
                    storm_vector);
    scene.count.boundaries = sweep_injections();
    print_row("every-boundary");
}

// --- the one-shot as NMI, an interrupt pending --------------------------------------------------

void on_nmi(trap_frame&) {
    ++handlers;
    sweep_event();
}

void prepare_nmi() {
    handlers = 0;
    interrupts = 0;
}

bool nmi_arrived() {
    return handlers != 0;
}

void check_nmi() {
    if (handlers != 1)
        ++scene.count.lost;
    if (interrupts != 1)
        fail("interrupts of one injection", 1, interrupts);
}

void nmi_in_shadow() {
    install(on_nmi);
    sweep_nmi({interruptible_window, prepare_nmi, nmi_arrived, check_nmi});
    scene.count.boundaries = sweep_injections();
    print_row("nmi-in-shadow");
}

} // namespace

void interrupt_storm() {
    nmisafe::x86::disable_interrupts();
    const text without = option("without");
    if (without.empty() || without == "sti")
        storm();
    if (without.empty())
        every_boundary();
    if (without.empty() || without == "rewind")
        nmi_in_shadow();
}

} // namespace kernel
