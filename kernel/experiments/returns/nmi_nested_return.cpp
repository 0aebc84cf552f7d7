// SPDX-License-Identifier: MIT
#include "kernel/experiments/returns/nmi_nested_return.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] bool window_software_nmi(void* block);
}

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

constexpr uint32_t passes = 20;
shared_count bodies;

void* block_here() {
#ifdef __x86_64__
    return this_cpu().nmi_block;
#else
    return nullptr;
#endif
}

/// What a nested NMI leaves behind, and nothing else sets.
volatile uint32_t* pending() {
#ifdef __x86_64__
    const auto block = reinterpret_cast<uintptr_t>(this_cpu().nmi_block); // which is packed
    return reinterpret_cast<volatile uint32_t*>(block + NMI_BLOCK_PENDING);
#else
    return &this_cpu().nmisafe.nmi_pending;
#endif
}

/// Not by the clock: one that is raised comes at once or not at all.
bool nested_has_come() {
    for (unsigned turn = 0; turn < 200; ++turn)
        wait_a_little();
    return *pending() != 0;
}

/// Raises one, and whether it has come in as a nested one.
bool raise_nested() {
    *pending() = 0;
    raise_nmi_here();
    return nested_has_come();
}

// --- a nested NMI leaves NMIs blocked -----------------------------------------------------------

/// Its entry was begun by software, which blocks nothing: the first NMI comes in, the second waits for the last IRET.
void blocked_body(trap_frame&) {
    if (++bodies != 1)
        return;
    if (!raise_nested())
        fail("an NMI nested in one that blocks none", 1, 0);
    if (raise_nested())
        fail("NMIs are open behind a nested one", 0, 1);
    *pending() = 1;
}

void stays_blocked() {
    set_scene(blocked_body);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        bodies = 0;
        ++scene.count.boundaries;
        ++scene.count.raised; // the one begun by software
        const bool completed = run_guarded([] {
            if (!window_software_nmi(block_here()))
                fail("a register did not come back", 1, 0);
            settle();
        });
        // That by software, again for the nested one, and the second when all is over.
        if (completed && bodies != 3)
            fail("handlers run", 3, bodies);
    }
    print_row("stays-blocked");
}

// --- what looks nested, and is not --------------------------------------------------------------

/// Makes an NMI look in progress, as a handler does that was left without abandon_nmi().
void leave_nmi_open() {
#ifdef __x86_64__
    nmisafe::trap::nmi_block& block = *this_cpu().nmi_block;
    block.tss.ist[nmisafe::trap::nmi_ist - 1] -= NMI_STRIDE;
#ifdef NMISAFE_SHADOW_STACK
    if (block.shadow_stack != 0)
        block.ssp_table[nmisafe::trap::nmi_ist] += nmisafe::trap::nmi_shadow_stride;
#endif
#else
    this_cpu().nmisafe.nmi_latch = 1;
#endif
}

/// Two have come behind a handler that was left, and were only remembered.
void expect_handled_again() {
    if (scene.honoured != scene.tickets - 2)
        fail("handlers run meanwhile", 0, 1);
    scene.honoured = scene.tickets;     // decision 11: they are the price of that fault
    if (run_guarded([] { abandon(); })) // abandon_nmi(), and an IRET
        fail("abandoned", 1, 0);
    raise_nmi_here();
    settle();
}

/// With interrupts off nothing tells the first one from a nested one: the second waits for an IRET.
void masked_false_positive() {
    ++scene.count.boundaries;
    leave_nmi_open();
    if (!raise_nested())
        fail("an NMI that comes in behind a handler that was left", 1, 0);
    if (raise_nested())
        fail("NMIs are open behind what looks nested, with interrupts off", 0, 1);
    unblock_nmis();
    if (!nested_has_come())
        fail("an NMI behind the next IRET", 1, 0);
    expect_handled_again();
}

/// Handled again only once abandon_nmi() has run; but each comes in, however many.
void false_positive() {
    set_scene(nullptr);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        ++scene.count.boundaries;
        leave_nmi_open();
        nmisafe::x86::enable_interrupts();
        const bool first = raise_nested(), second = raise_nested();
        nmisafe::x86::disable_interrupts();
        if (!first || !second)
            fail("NMIs that come in behind a handler that was left", 2, uintptr_t{first} + second);
        expect_handled_again();
    }
    masked_false_positive();
    scene.count.raised = scene.count.raised - 2 * (passes + 1);
    print_row("false-positive");
}

} // namespace

bool nested_nmi_is_pending() {
    return *pending() != 0;
}

void unblock_nmis() {
#ifdef __x86_64__
    asm volatile("call nmisafe_user_unblock_nmis" : : : "rax", "rcx", "cc", "memory");
#else
    asm volatile("call nmisafe_user_unblock_nmis\n\t"
                 "leal 4(%%esp), %%esp" // it leaves its return address
                 :
                 :
                 : "cc", "memory");
#endif
}

void nmi_nested_return() {
    stays_blocked();
    if (nmisafe::trap::defended(NMISAFE_WITHOUT_NESTED_RETURN))
        false_positive();
}

/// An NMI in a task, while another one looks in progress: no NMI nests in user mode.
void crash_nmi_left() {
    set_user_scene(nullptr);
    task which = make_task(instructions(raise_nmi_code));
    prepare_to_raise_nmi(which);
    leave_nmi_open();
    run_task(which);
}

} // namespace kernel
