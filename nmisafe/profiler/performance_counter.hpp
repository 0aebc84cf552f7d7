// SPDX-License-Identifier: MIT
/// A performance counter that raises an NMI every so many cycles: architectural performance
/// monitoring, version 2 and later. [intel/vol3 20.2, Architectural Performance Monitoring]
///
/// It counts cycles in which the CPU is not halted: an idle CPU gives no samples. Run on no machine
/// yet: what is tested is what it does to the registers, by a model of them.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/tsc.hpp"

namespace nmisafe::profiler {

/// What a machine must offer; an embedder adds its local APIC's entry for performance counters:
///
///     struct machine : profiler::counter_registers {
///         static void write_lvt(uint32_t value);      // at offset 0x340 [intel/vol3 11.5.1]
///     };
struct counter_registers {
    static x86::cpuid_result cpuid(uint32_t leaf) { return x86::cpuid(leaf); }
    static uint64_t read_msr(uint32_t number) { return x86::read_msr(number); }
    static void write_msr(uint32_t number, uint64_t value) { x86::write_msr(number, value); }
};

/// Counter 0 of the CPU that calls it, whole: nobody else may use it. All functions are static, and
/// for one CPU.
template <typename Machine>
class performance_counter {
  public:
    /// The longest period: a store sets 32 bits and extends their sign. [intel/vol3 20.2.7]
    static constexpr uint32_t longest_period = 0x7fffffff;

    /// Whether this CPU has one that counts cycles. @context any
    static bool is_there() {
        const x86::cpuid_result about = Machine::cpuid(0xa);
        const uint32_t version = about.a & 0xff;
        const uint32_t counters = about.a >> 8 & 0xff;
        const uint32_t width = about.a >> 16 & 0xff;
        const uint32_t events = about.a >> 24;
        const bool has_cycles = events > 0 && (about.b & 1) == 0; // a bit that is set: it has not
        return version >= 2 && counters > 0 && width >= 32 && has_cycles;
    }

    /// Whether it keeps what is written to it: an emulator may offer the counters of the CPU that it models, and have
    /// none. Bochs 2.7 does so. @context thread, on the CPU, interrupts or preemption off; is_there(), not started
    static bool is_real() {
        stop();
        load(1);
        return Machine::read_msr(counter) != 0;
    }

    /// An NMI after so many cycles, 1 to longest_period; acknowledge() begins the next period.
    /// @context thread, on the CPU, interrupts or preemption off; is_there()
    static void start(uint32_t period) {
        stop();
        load(period);
        Machine::write_msr(overflow_control, first_counter);
        Machine::write_lvt(deliver_nmi);
        Machine::write_msr(event_select,
                           unhalted_cycles | in_user_mode | in_kernel | interrupts | enabled);
        Machine::write_msr(global_control, Machine::read_msr(global_control) | first_counter);
    }

    /// For the NMI's handler: whether the counter has raised it, or would have; if so the next
    /// period begins. False: the NMI was somebody else's.
    ///
    /// The CPU masks the APIC's entry when it delivers, so that is written last: one that comes
    /// before would be lost, and with it all that follow. Hence the second look. @context nmi
    static bool acknowledge(uint32_t period) {
        bool was_mine = false;
        for (unsigned attempt = 0; attempt < most_attempts && has_overflowed(); ++attempt) {
            was_mine = true;
            Machine::write_msr(overflow_control, first_counter);
            load(period); // behind that: an overflow of the new period must not be cleared
            Machine::write_lvt(deliver_nmi);
        }
        return was_mine;
    }

    /// No more NMIs but one that is on its way. @context thread, on the CPU; or nmi
    static void stop() {
        Machine::write_msr(event_select, 0);
        Machine::write_lvt(deliver_nmi | masked);
    }

  private:
    // IA32_PMC0, IA32_PERFEVTSEL0, IA32_PERF_GLOBAL_STATUS, _CTRL and _OVF_CTRL (from version 4 on
    // _STATUS_RESET, to the same effect).
    static constexpr uint32_t counter = 0xc1;
    static constexpr uint32_t event_select = 0x186;
    static constexpr uint32_t global_status = 0x38e;
    static constexpr uint32_t global_control = 0x38f;
    static constexpr uint32_t overflow_control = 0x390;
    static constexpr uint64_t first_counter = 1;

    static constexpr uint64_t unhalted_cycles = 0x3c; // event 3CH, unit mask 00H
    static constexpr uint64_t in_user_mode = 1 << 16;
    static constexpr uint64_t in_kernel = 1 << 17;
    static constexpr uint64_t interrupts = 1 << 20;
    static constexpr uint64_t enabled = 1 << 22;

    static constexpr uint32_t deliver_nmi = 4 << 8;
    static constexpr uint32_t masked = 1 << 16;

    static constexpr unsigned most_attempts = 4;

    static void load(uint32_t period) { Machine::write_msr(counter, uint32_t{0} - period); }
    static bool has_overflowed() { return (Machine::read_msr(global_status) & first_counter) != 0; }
};

} // namespace nmisafe::profiler
