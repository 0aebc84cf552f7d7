// SPDX-License-Identifier: MIT
// start-under-nmi: the emulator raises an NMI at each instruction boundary in turn of a CPU that
// starts (tests/guest/injector.cpp): from its second instruction in real mode until it runs what
// all CPUs run, through protected and long mode, two page tables and three GDTs. It comes up each
// time, and each NMI is handled once: there, or, if it came before the kernel's IDT, when the CPU
// is ready.
//
// Option late=1: the CPU is started here alone. As from-outside it needs the emulator's help.
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/trap/trap.hpp"

extern "C" uint32_t outside_done; // from_outside.cpp

namespace kernel {
namespace {

shared_count handled;
constexpr uint32_t most_passes = 10000;
constexpr uint32_t passes_at_the_end = 2; // until the emulator's word is seen

void start_once() {
    handled = 0;
    if (!start_next_cpu())
        return fail("a CPU is left to be started", 1, 0);
    run_on(
        cpu_count() - 1, [](void*) {}, nullptr);
    stop_last_cpu();
}

} // namespace

void start_under_nmi() {
    set_scene(nullptr);
    nmisafe::trap::set_nmi_handler([](nmisafe::x86::trap_frame&) {
        ++handled;
        hit_breakpoint();
    });
    uint32_t without_nmi = 0;
    do {
        start_once();
        ++scene.count.boundaries;
        ++scene.count.raised;
        scene.count.handled += handled;
        if (handled == 0)
            ++without_nmi;
        else if (handled != 1)
            fail("NMIs handled by a CPU that starts", 1, handled);
    } while (__atomic_load_n(&outside_done, __ATOMIC_ACQUIRE) == 0 &&
             scene.count.boundaries < most_passes);
    if (without_nmi > passes_at_the_end)
        scene.count.lost += without_nmi - passes_at_the_end;
    if (outside_done == 0)
        fail("the emulator came to the path's end", 1, 0);
    print_row(nullptr);
}

} // namespace kernel
