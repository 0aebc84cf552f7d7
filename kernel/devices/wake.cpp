// SPDX-License-Identifier: MIT
#include "kernel/devices/wake.hpp"

#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

void wake(uint32_t cpu_id) {
    send_interrupt(cpu_id, static_cast<uint8_t>(vector::wake));
}

void wake_again(uint32_t cpu_id, uint32_t begin, uint32_t& wakes) {
    nmisafe::x86::pause();
    if (ticks() - begin <= (wakes + 1) * 1000 * ticks_per_microsecond())
        return;
    wakes += 1;
    wake(cpu_id);
}

} // namespace kernel
