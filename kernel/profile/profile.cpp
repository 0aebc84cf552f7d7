// SPDX-License-Identifier: MIT
#include "kernel/profile/profile.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/events/emit.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/profiler/guarded_load.hpp"
#include "nmisafe/profiler/performance_counter.hpp"
#include "nmisafe/profiler/sample.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/tsc.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

struct machine : profiler::counter_registers {
    static void write_lvt(uint32_t value) { *device_register(local_apic::address + 0x340) = value; }
};
using counter = profiler::performance_counter<machine>;

enum class source : uint8_t { none, timer, counters };

uint8_t by;      // a source
uint32_t period; // ticks of the HPET, or cycles
uint32_t samples[most_cpus];

/// What NMIs read, in one store.
void choose(source which) {
    __atomic_store_n(&by, static_cast<uint8_t>(which), __ATOMIC_RELEASE);
}
source chosen() {
    return static_cast<source>(__atomic_load_n(&by, __ATOMIC_ACQUIRE));
}

/// Cycles of the TSC, which the counter's are about.
uint32_t cycles_in(uint32_t microseconds) {
    constexpr uint32_t measured = 1000;
    const interrupts_off off;
    const uint64_t begin = x86::read_tsc();
    delay_microseconds(measured);
    const auto each = static_cast<uint32_t>(x86::read_tsc() - begin) / measured;
    const uint32_t most = counter::longest_period / (each + 1);
    return (microseconds < most ? microseconds : most) * (each + 1);
}

bool has_counters() {
    const interrupts_off off;
    return counter::is_there() && counter::is_real();
}

void on_all_cpus(void (*function)(void*)) {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(id, function, nullptr);
        wait(id);
    }
}

/// It has reached CPU 0 alone.
void pass_on() {
    const local_apic::kept_target kept;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        send_nmi(id);
}

} // namespace

void start_profiling(uint32_t microseconds) {
    if (has_counters()) {
        period = cycles_in(microseconds);
        choose(source::counters);
        on_all_cpus([](void*) {
            const interrupts_off off;
            counter::start(period);
        });
        return;
    }
    period = microseconds * ticks_per_microsecond();
    one_shot_set_up_nmi(0);
    choose(source::timer);
    one_shot_arm(period);
}

void stop_profiling() {
    const source before = chosen();
    choose(source::none);
    if (before == source::timer)
        one_shot_shut_down();
    if (before == source::counters)
        on_all_cpus([](void*) { counter::stop(); });
}

void take_periodic_sample(const x86::trap_frame& frame) {
    cpu& mine = this_cpu();
    const profiler::sample_end end = profiler::take_sample(frame, profiled_stacks);
    if (end != profiler::sample_end::off) {
        x86::increment(samples[mine.id]);
        count_event(end == profiler::sample_end::written);
    }
    // Last: the walk has taken its time.
    if (chosen() == source::counters) {
        static_cast<void>(counter::acknowledge(period));
    } else if (mine.id == 0 && chosen() == source::timer) {
        pass_on();
        one_shot_arm(period);
    }
}

uint32_t samples_taken() {
    uint32_t sum = 0;
    for (const uint32_t& one : samples)
        sum += __atomic_load_n(&one, __ATOMIC_RELAXED);
    return sum;
}

bool handle_profiling_fault(x86::trap_frame& frame) {
    return !is_removed(defence::guard) && profiler::handle_fault(frame);
}

} // namespace kernel
