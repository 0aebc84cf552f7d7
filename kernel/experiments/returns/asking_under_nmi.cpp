// SPDX-License-Identifier: MIT
// asking-under-nmi: an NMI at every instruction boundary of a CPU that asks another one and waits
// for its answer. The NMI's handler uses the local APIC too: what the interrupted code was about to
// send must still go where it was to go.
//
//   synchronise   that code has changed: text patching's own synchronisation
//   grace-period  that a section may be waited for
#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/event_windows.h"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/grace_period.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

shared_count asked_here; // by mistake

void prepare() {
    begin_pass(true);
}

void check() {
    settle();
    expect_two_handlers(nullptr);
    if (asked_here != 0)
        fail("a command for another CPU came here", 0, asked_here);
    asked_here = 0;
}

// In a control a nested NMI abandons what it has interrupted, once: the other CPU may be waited for then.
const swept_path synchronise_path = {
    "synchronise",
    raise_second_and_hit_breakpoint,
    {[] { window_ask_synchronise(); }, prepare, both_handled, check, true},
    window_ask_synchronise_begin,
    window_ask_synchronise_end,
    true};

const swept_path grace_period_path = {
    "grace-period",
    raise_second_and_hit_breakpoint,
    {[] { window_ask_grace_period(); }, prepare, both_handled, check, true},
    window_ask_grace_period_begin,
    window_ask_grace_period_end,
    true};

} // namespace

// Interrupts on: who waits for other CPUs must let theirs in.
extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] void ask_synchronise_action() {
    nmisafe::x86::enable_interrupts();
    synchronise_cpus();
    nmisafe::x86::disable_interrupts();
}
[[NMISAFE_ASSEMBLY_CALL]] void ask_grace_period_action() {
    nmisafe::x86::enable_interrupts();
    wait_for_grace_period();
    nmisafe::x86::disable_interrupts();
}
}

void asking_under_nmi() {
    nmisafe::x86::disable_interrupts();
    grace_period_hook = [] {
        if (this_cpu().id == 0)
            ++asked_here;
    };
    // Who synchronises asks once, and would wait for ever.
    if (!is_removed(defence::target))
        sweep_or_trace(synchronise_path);
    sweep_or_trace(grace_period_path);
    grace_period_hook = nullptr;
}

} // namespace kernel
