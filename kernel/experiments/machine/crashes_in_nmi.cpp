// SPDX-License-Identifier: MIT
// crash-*, in NMI handlers or under NMIs, with other CPUs about: still one line, and it names the
// CPU that could not be stopped, or none.
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/machine/crashes.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_count in_handlers; // CPUs that are in the NMI handler
shared_count handled;

[[noreturn]] void die() {
    asm volatile("ud2");
    __builtin_unreachable();
}

void send_to_and_wait(uint32_t cpu_id) {
    const uint32_t before = in_handlers;
    send_nmi(cpu_id);
    if (!wait_for([before] { return in_handlers != before; }))
        fail("a CPU's NMI handler begins", cpu_id, 0);
}

/// From the other CPU, until it is stopped itself.
void keep_sending_nmis() {
    run_on(
        1,
        [](void*) {
            while (true)
                send_nmi(0);
        },
        nullptr);
    if (!wait_for([] { return handled >= 3; }))
        fail("NMIs from the other CPU", 3, handled);
}

} // namespace

void crash_stuck_in_nmi() {
    nmisafe::trap::set_nmi_handler([](trap_frame&) {
        ++in_handlers;
        while (true)
            nmisafe::x86::pause();
    });
    send_to_and_wait(1);
    die();
}

/// CPU 1's handler ends when the panic is under way: only then the NMI that stops it comes.
void crash_panic_in_nmi() {
    static shared_flag dying;
    nmisafe::trap::set_nmi_handler([](trap_frame&) {
        ++in_handlers;
        if (this_cpu().id == 0) {
            dying = true;
            die();
        }
        while (!dying)
            nmisafe::x86::pause();
    });
    send_to_and_wait(1);
    send_nmi_to_self();
    delay_microseconds(10'000'000);
}

/// Each has its NMIs blocked when the winner's come.
void crash_two_panics() {
    nmisafe::trap::set_nmi_handler([](trap_frame&) {
        ++in_handlers;
        while (in_handlers != cpu_count())
            nmisafe::x86::pause();
        die();
    });
    for (uint32_t id = 1; id < cpu_count(); ++id)
        send_to_and_wait(id);
    send_nmi_to_self();
    delay_microseconds(10'000'000);
}

void crash_nmi_overflow() {
    nmisafe::trap::set_nmi_handler([](trap_frame&) {
        ++handled;
        if (handled == 10)
            overflow_stack();
    });
    keep_sending_nmis();
    delay_microseconds(10'000'000);
}

void crash_under_nmis() {
    nmisafe::trap::set_nmi_handler([](trap_frame&) { ++handled; });
    keep_sending_nmis();
    overflow_stack();
}

#ifdef __x86_64__
/// As if two more were in progress, each nested in the entry of the one before: the next one is let
/// in by an IRET.
void crash_nmis_too_deep() {
    // Where the policy is built in no NMI is let in, and this ends without harm.
#ifndef NMISAFE_TRAP_POLICY
    nmisafe::trap::set_return_policy(nmisafe::trap::return_policy::iret);
#endif
    nmisafe::trap::set_handler(X86_VECTOR_BP, [](trap_frame&) { return true; });
    nmisafe::trap::set_nmi_handler([](trap_frame&) {
        this_cpu().nmi_block->tss.ist[nmisafe::trap::nmi_ist - 1] -= 2 * NMI_STRIDE;
        hit_breakpoint();
        send_nmi_to_self();
    });
    send_nmi_to_self();
}
#endif

} // namespace kernel
