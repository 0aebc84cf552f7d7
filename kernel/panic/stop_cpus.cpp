// SPDX-License-Identifier: MIT
#include "kernel/panic/stop_cpus.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr uint32_t patience_microseconds = 2'000'000;

uint32_t stopped;      // a bit for each CPU
uint32_t stopping_cpu; // the one that does not stop

/// In the place of everybody's NMI handler: whatever raises an NMI from now on. Beside NMIs raised
/// by the experiment it may be the panicking CPU's own.
void stop_here(x86::trap_frame&) {
    const uint32_t id = this_cpu().id;
    if (id != stopping_cpu)
        stay_stopped(id);
}

/// PAUSE, because with -icount it is how QEMU comes to run another CPU.
void look_again_later() {
    for (unsigned i = 0; i < 1000; ++i)
        asm volatile("");
    x86::pause();
}

} // namespace

uint32_t stop_other_cpus(uint32_t id) {
    const uint32_t others = ((1U << cpu_count()) - 1) & ~(1U << id);
    const auto missing = [=] { return others & ~__atomic_load_n(&stopped, __ATOMIC_ACQUIRE); };
    if (others == 0)
        return 0; // and perhaps no clock yet
    stopping_cpu = id;
    trap::set_nmi_handler(stop_here);
    for (uint32_t other = 0; other < cpu_count(); ++other)
        if (other != id)
            stop_by_nmi(cpu_at(other).apic_id);
    const uint32_t begin = ticks();
    while (missing() != 0 && ticks() - begin < patience_microseconds * ticks_per_microsecond())
        look_again_later();
    const uint32_t stuck = missing();
    for (uint32_t other = 0; other < cpu_count(); ++other)
        if ((stuck >> other & 1) != 0)
            stop_by_init(cpu_at(other).apic_id);
    return stuck;
}

void stay_stopped(uint32_t id) {
    __atomic_fetch_or(&stopped, 1U << id, __ATOMIC_RELEASE);
    while (true)
        asm volatile("cli\n\thlt");
}

} // namespace kernel
