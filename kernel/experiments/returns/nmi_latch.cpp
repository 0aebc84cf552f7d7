// SPDX-License-Identifier: MIT
// nmi-latch: NMIs that get in while another is in progress. None may enter the handler meanwhile,
// none be lost, and the frame and registers of the one in progress must be whole.
//
//   entry-to-exit  an NMI's entry begun by software, which blocks nothing; a real NMI at each
//   boundary from
//                  there to the return
//   redo           the same while the handler hits INT3 and raises another NMI
//   storm          a handler that raises an NMI again and again with NMIs open: the stack it begins
//   on
//                  is the same each time
//   bad-iret       an IRET that faults in the handler, an NMI pending: a CPU and Bochs let it in
//   there smi            an SMI in the handler, an NMI pending: where RSM unblocks, as under Bochs,
//   it comes in
//
// With mode=let-in the last two alone, for an emulator that has no one-shot.
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/port.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] bool window_software_nmi(void* block);
[[NMISAFE_ASSEMBLY_CALL]] void faulting_iret();
extern const char faulting_iret_done[];
}

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_flag registers_came_back;

void software_nmi() {
#ifdef __x86_64__
    void* const block = this_cpu().nmi_block;
#else
    void* const block = nullptr;
#endif
    registers_came_back = window_software_nmi(block);
}

void entry_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
}

void prepare() {
    begin_pass(false);
    registers_came_back = false;
    ++scene.count.raised; // the one begun by software
}

void check_entry() {
    expect_two_handlers(nullptr);
    if (!registers_came_back)
        fail("a register did not come back", 1, 0);
}

// --- redo: three NMIs, of which the hardware or the latch may merge two
// ---------------------------

bool settled() {
    return handlers_in_pass >= 2;
}

void check_redo() {
    settle();
    if (handlers_in_pass != 2 && handlers_in_pass != 3)
        ++scene.count.lost;
    if (scene.breakpoints != handlers_in_pass)
        fail("breakpoint handlers run", handlers_in_pass, scene.breakpoints);
    if (!registers_came_back)
        fail("a register did not come back", 1, 0);
}

void sweep_path(const char* name, void (*body)(trap_frame&), const sweep& plan) {
    set_scene(body);
    sweep_nmi(plan);
    scene.count.boundaries = sweep_injections();
    print_row(name);
}

// --- an NMI lets others in ----------------------------------------------------------------------

constexpr uint32_t storm_length = 2000;
uintptr_t storm_stack;
uint32_t storm_left;

void storm_body(trap_frame&) {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    if (storm_stack == 0)
        storm_stack = here;
    if (here != storm_stack)
        fail("the stack of a handler", storm_stack, here);
    if (storm_left != 0) {
        --storm_left;
        raise_nmi_here();
    }
}

bool resume_after_iret(trap_frame& frame) {
    frame.ip = reinterpret_cast<uintptr_t>(faulting_iret_done);
    return true;
}

shared_count bodies;

void bad_iret_body(trap_frame&) {
    if (++bodies % 2 == 0)
        return;
    raise_nmi_here();
    faulting_iret();
}

void smi_body(trap_frame&) {
    constexpr uint16_t advanced_power_management = 0xb2; // a write is an SMI
    constexpr uint8_t no_command = 0;
    if (++bodies % 2 == 0)
        return;
    raise_nmi_here();
    nmisafe::x86::out8(advanced_power_management, no_command);
}

void let_in(const char* name, void (*body)(trap_frame&)) {
    constexpr uint32_t passes = 100;
    set_scene(body);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        bodies = 0;
        ++scene.count.boundaries;
        const bool completed = run_guarded([] {
            raise_nmi_here();
            settle();
        });
        if (completed && bodies != 2)
            ++scene.count.lost;
    }
    print_row(name);
}

void storm() {
    set_scene(storm_body);
    storm_stack = 0;
    storm_left = storm_length;
    scene.count.boundaries = storm_length;
    run_guarded([] {
        ++scene.count.raised;
        software_nmi(); // NMIs are open in it: each raised in the handler gets in
        settle();
    });
    if (scene.count.handled != storm_length + 1)
        ++scene.count.lost;
    print_row("storm");
}

} // namespace

void nmi_latch() {
    nmisafe::x86::disable_interrupts();
    const bool latched = nmisafe::trap::defended(NMISAFE_WITHOUT_LATCH);
    if (option("mode") != "let-in") {
        sweep_path("entry-to-exit", entry_body,
                   {software_nmi, prepare, both_handled, check_entry, !latched});
        sweep_path("redo", raise_second_and_hit_breakpoint, {software_nmi, prepare, settled, check_redo, !latched});
        if (!latched)
            return;
        storm();
    }
    nmisafe::trap::set_handler(X86_VECTOR_GP, resume_after_iret);
    let_in("bad-iret", bad_iret_body);
    let_in("smi", smi_body);
}

} // namespace kernel
