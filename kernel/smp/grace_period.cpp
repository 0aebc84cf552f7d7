// SPDX-License-Identifier: MIT
#include "kernel/smp/grace_period.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/section_end.hpp"
#include "kernel/devices/apic.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

bool on_grace_period(x86::trap_frame&) {
    if (grace_period_hook != nullptr)
        grace_period_hook();
    answer_grace_period();
    end_of_interrupt();
    return true;
}

/// Asks once; and again if the answer takes very long, since some ends are not noticed.
void wait_for(uint32_t id, uint32_t request) {
    constexpr unsigned looks_before_asking_again = 10'000;
    const auto has_answered = [=] {
        return static_cast<int32_t>(grace_period_answered(id) - request) >= 0;
    };
    while (!has_answered()) {
        send_interrupt(id, static_cast<uint8_t>(vector::grace_period));
        for (unsigned looks = 0; looks < looks_before_asking_again && !has_answered(); ++looks) {
            for (unsigned i = 0; i < 100; ++i)
                asm volatile("");
            nmisafe::x86::pause(); // few, and not none: broadcast.cpp says why
        }
    }
}

} // namespace

void (*grace_period_hook)() = nullptr;

/// A CPU that comes up later has been outside of all such code since.
void wait_for_grace_period() {
    if (is_removed(defence::grace))
        return;
    const uint32_t request = new_grace_period();
    const uint32_t self = this_cpu().id; // the caller itself is such a point
    const uint32_t count = cpu_count();
    for (uint32_t id = 0; id < count; ++id)
        if (id != self)
            wait_for(id, request);
}

void set_up_grace_periods() {
    trap::set_handler(static_cast<uint8_t>(vector::grace_period), on_grace_period);
}

} // namespace kernel
