// SPDX-License-Identifier: MIT
// nmi-latch: NMIs that get in while another is in progress. None may enter the handler meanwhile,
// none be lost, and the frame and registers of the one in progress must be whole.
//
//   entry-to-exit  an NMI's entry begun by software, which blocks nothing; a real NMI at each boundary from
//                  there to the return
//   redo           the same while the handler hits INT3 and raises another NMI
//   nested-twice   the same while the handler begins another entry by software: x86-64's level 1, so that the
//                  real NMI is nested in that, at level 2
//   stays-blocked  two NMIs raised in a handler that is open to them: the first comes in and, as it goes back without
//                  IRET, the second does not
//   false-positive behind a handler that was left without abandon_nmi(), IF set: all come in, none blocks the next
//   storm          a handler that raises an NMI again and again and lets it in by an IRET, nested each time: the stack
//                  it begins on is the same
//   bad-iret       an IRET that faults in the handler, an NMI pending: a CPU and Bochs let it in there
//   smi            an SMI in the handler, an NMI pending: where RSM unblocks, as under Bochs, it comes in
//
// With shadow stacks also: behind each of them the token of every level is free and the next NMI takes level 0's.
//
// With mode=let-in the last two alone, with part=nested-return the two of that. With part=step another one alone:
//
//   step           single steps from the middle of the handler to where they end, in the NMI's exit; each raises an
//                  NMI, and as each returns by IRET they all get in; then the one in the exit alone
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/nmi_nested_return.hpp"
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
[[NMISAFE_ASSEMBLY_CALL]] bool window_nested_nmi(void* block);
[[NMISAFE_ASSEMBLY_CALL]] void faulting_iret();
extern const char faulting_iret_done[];
// Of the NMI's exit: behind its test of what is pending. The same of the entry that gates=user
// leads to.
extern const char nmisafe_trap_nmi_window[], nmisafe_trap_nmi_iret[];
#ifdef __i386__
extern const char nmisafe_user_nmi_window[];
#endif
}

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_flag registers_came_back;

void* block_here() {
#ifdef __x86_64__
    return this_cpu().nmi_block;
#else
    return nullptr;
#endif
}

/// The shadow stacks as an NMI needs them that comes while none is in progress.
void expect_shadow_stacks_free() {
#ifdef NMISAFE_SHADOW_STACK
    if (!uses_shadow_stacks())
        return;
    const nmisafe::trap::nmi_block& block = *this_cpu().nmi_block;
    const uintptr_t next = block.ssp_table[nmisafe::trap::nmi_ist];
    if (next != block.shadow_stack)
        fail("the next NMI's shadow stack", block.shadow_stack, next);
    for (uintptr_t level = 0; level <= 3; ++level) {
        const uintptr_t address = block.shadow_stack + level * nmisafe::trap::nmi_shadow_stride;
        const uintptr_t token = *reinterpret_cast<const volatile uintptr_t*>(address);
        if (token != address)
            fail("the token of a shadow stack", address, token);
    }
#endif
}

void software_nmi() {
    registers_came_back = window_software_nmi(block_here());
}

/// One in the exit of another takes its frame over: the stack does not grow, however many come there.
void expect_exit_taken_over(const trap_frame& frame) {
    const auto begin = reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_window);
    const auto last = reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_iret);
    if (frame.ip >= begin && frame.ip <= last && nmisafe::trap::defended(NMISAFE_WITHOUT_LATCH))
        fail("an NMI's frame of another one's exit", 0, frame.ip);
}

void entry_body(trap_frame& frame) {
    expect_exit_taken_over(frame);
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
    expect_shadow_stacks_free();
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
    expect_shadow_stacks_free();
}

// --- nested-twice: the handler runs again for the one begun in it, and perhaps for the real one -------

uint32_t at_level_2;

#ifdef __x86_64__
/// Where the CPU has put the frame of an NMI at level 2: its RIP.
volatile uintptr_t& level_2_ip() {
    constexpr uintptr_t hardware_frame = 40;
    const auto top = reinterpret_cast<uintptr_t>(block_here()) - 2 * NMI_STRIDE;
    return *reinterpret_cast<volatile uintptr_t*>(top - hardware_frame);
}
#endif

void nested_twice_body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame) && !window_nested_nmi(block_here()))
        fail("a register of a handler did not come back", 1, 0);
}

void prepare_nested_twice() {
    prepare();
    ++scene.count.raised; // that in the handler
#ifdef __x86_64__
    level_2_ip() = 0;
#endif
}

void check_nested_twice() {
    if (handlers_in_pass != 2 && handlers_in_pass != 3)
        ++scene.count.lost;
    if (!registers_came_back)
        fail("a register did not come back", 1, 0);
    expect_shadow_stacks_free();
#ifdef __x86_64__
    if (level_2_ip() != 0)
        ++at_level_2;
#endif
}

void sweep_path(const char* name, void (*body)(trap_frame&), const sweep& plan) {
    set_scene(body);
    sweep_nmi(plan);
    scene.count.boundaries = sweep_injections();
    print_row(name);
}

void nested_twice() {
    const sweep plan = {software_nmi, prepare_nested_twice, settled, check_nested_twice, true};
    set_scene(nested_twice_body);
    at_level_2 = 0;
    sweep_nmi(plan);
    scene.count.boundaries = sweep_injections();
#ifdef __x86_64__
    constexpr uint32_t level_1_instructions = 30; // it has some more
    if (at_level_2 < level_1_instructions)
        fail("NMIs at level 2", level_1_instructions, at_level_2);
    print_row("nested-twice", false, {"at_level_2", at_level_2});
#else
    print_row("nested-twice");
#endif
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
        unblock_nmis();
        if (!nested_nmi_is_pending())
            fail("an NMI nested in the storm", storm_length - storm_left, 0);
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
        expect_shadow_stacks_free();
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
        software_nmi();
        settle();
    });
    if (scene.count.handled != storm_length + 1)
        ++scene.count.lost;
    expect_shadow_stacks_free();
    print_row("storm");
}

// --- steps --------------------------------------------------------------------------------------

uint32_t steps;
bool raises_at_each; // or in the exit alone, where a test of what is pending has found nothing
bool has_come_to_exit;

bool is_exit(uintptr_t ip) {
#ifdef __i386__
    if (option("gates") == "user")
        return ip == reinterpret_cast<uintptr_t>(nmisafe_user_nmi_window);
#endif
    return ip == reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_window);
}

bool begin_stepping(trap_frame& frame) {
    frame.flags |= X86_FLAGS_TF;
    return true;
}

/// Beyond the test nothing may be raised any more: whether the one raised there is lost is the
/// question.
bool on_step(trap_frame& frame) {
    ++steps;
    const bool is_in_exit = is_exit(frame.ip);
    if (!has_come_to_exit && (raises_at_each || is_in_exit))
        raise_nmi_here();
    has_come_to_exit = has_come_to_exit || is_in_exit;
    return true;
}

void step_body(trap_frame&) {
    if (++bodies == 1)
        hit_breakpoint();
}

void step() {
    set_scene(step_body);
    nmisafe::trap::set_handler(X86_VECTOR_BP, begin_stepping);
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_step);
    steps = 0;
    for (const bool each : {true, false}) {
        raises_at_each = each;
        bodies = 0;
        has_come_to_exit = false;
        run_guarded([] {
            raise_nmi_here();
            settle();
        });
        if (!has_come_to_exit)
            fail("stepped to the NMI's exit", 1, 0);
        expect_shadow_stacks_free();
    }
    scene.count.boundaries = steps;
    print_row("step");
}

} // namespace

void nmi_latch() {
    nmisafe::x86::disable_interrupts();
    if (option("part") == "step") {
        step();
        return;
    }
    if (option("part") == "nested-return") {
        nmi_nested_return();
        return;
    }
    const bool latched = nmisafe::trap::defended(NMISAFE_WITHOUT_LATCH);
    if (option("mode") != "let-in") {
        sweep_path("entry-to-exit", entry_body,
                   {software_nmi, prepare, both_handled, check_entry, !latched});
        sweep_path("redo", raise_second_and_hit_breakpoint,
                   {software_nmi, prepare, settled, check_redo, !latched});
        if (latched) {
            nested_twice();
            nmi_nested_return();
        }
        storm();
        if (!latched)
            return;
    }
    nmisafe::trap::set_handler(X86_VECTOR_GP, resume_after_iret);
    let_in("bad-iret", bad_iret_body);
    let_in("smi", smi_body);
}

} // namespace kernel
