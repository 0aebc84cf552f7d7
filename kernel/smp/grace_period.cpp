// SPDX-License-Identifier: MIT
#include "kernel/smp/grace_period.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

uint32_t requests;          // grace periods asked for so far
uint32_t passed[most_cpus]; // the latest that each CPU has passed
uint32_t looked[most_cpus]; // times each CPU has answered, passed or not

/// No irq_enter(): the count is that of the code interrupted. A thread that was preempted, and does
/// not run now, had it at 0.
bool on_grace_period(x86::trap_frame&) {
    const uint32_t id = this_cpu().id;
    const uint32_t request = __atomic_load_n(&requests, __ATOMIC_ACQUIRE);
    if (context::preempt_count() == 0)
        __atomic_store_n(&passed[id], request, __ATOMIC_RELEASE);
    __atomic_store_n(&looked[id], looked[id] + 1, __ATOMIC_RELEASE);
    end_of_interrupt();
    return true;
}

bool has_passed(uint32_t id, uint32_t request) {
    return static_cast<int32_t>(__atomic_load_n(&passed[id], __ATOMIC_ACQUIRE) - request) >= 0;
}

/// Asks until the answer is yes, one question at a time.
void wait_for(uint32_t id, uint32_t request) {
    while (!has_passed(id, request)) {
        const uint32_t before = __atomic_load_n(&looked[id], __ATOMIC_ACQUIRE);
        send_interrupt(id, static_cast<uint8_t>(vector::grace_period));
        while (__atomic_load_n(&looked[id], __ATOMIC_ACQUIRE) == before)
            for (unsigned i = 0; i < 100; ++i)
                asm volatile("");
    }
}

} // namespace

void wait_for_grace_period() {
    if (is_removed(defence::grace))
        return;
    const uint32_t request = __atomic_add_fetch(&requests, 1, __ATOMIC_SEQ_CST);
    const uint32_t self = this_cpu().id; // the caller itself is such a point
    for (uint32_t id = 0; id < cpu_count(); ++id)
        if (id != self)
            wait_for(id, request);
}

void set_up_grace_periods() {
    trap::set_handler(static_cast<uint8_t>(vector::grace_period), on_grace_period);
}

} // namespace kernel
