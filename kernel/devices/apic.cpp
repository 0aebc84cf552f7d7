// SPDX-License-Identifier: MIT
#include "kernel/devices/apic.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/common/join_text.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;
using local_apic::address;
using local_apic::level_assert;

enum class offset : uint16_t {
    task_priority = 0x080,
    end_of_interrupt = 0x0b0,
    spurious = 0x0f0,
    timer = 0x320,
    line_0 = 0x350,
    line_1 = 0x360,
    timer_initial = 0x380,
    timer_current = 0x390,
    timer_divide = 0x3e0,
};

constexpr uint32_t software_enable = 1 << 8;
constexpr uint32_t masked = 1 << 16;
constexpr uint32_t periodic = 1 << 17;
constexpr uint32_t divide_by_16 = 3;
constexpr uint32_t deliver_init = 5 << 8;
constexpr uint32_t deliver_startup = 6 << 8;
constexpr uint32_t calibration_milliseconds = 10;

uint32_t timer_counts_per_tick;

[[gnu::always_inline]] inline volatile uint32_t& at(offset which) {
    return *device_register(address + static_cast<uintptr_t>(which));
}

void send_command(uint32_t apic_id, uint32_t what) {
    while ((local_apic::command_low() & local_apic::command_pending) != 0)
        x86::pause();
    local_apic::command_high() = apic_id << 24;
    local_apic::command_low() = what;
}

void command(uint32_t apic_id, uint32_t what) {
    const interrupts_off off; // an interrupt handler's command must not get between the two stores
    if (this_cpu().nmisafe.nmi_in_progress != 0) {
        const local_apic::kept_target kept;
        send_command(apic_id, what);
    } else {
        send_command(apic_id, what);
    }
}

} // namespace

uint32_t local_apic_id() {
    return local_apic::id() >> 24;
}

[[KERNEL_JOIN_TEXT]] void set_up_local_apic() {
    at(offset::task_priority) = 0;
    at(offset::line_0) = masked;
    at(offset::line_1) = masked;
    at(offset::timer) = masked;
    at(offset::spurious) = software_enable | static_cast<uint32_t>(vector::spurious);
}

void calibrate_tick() {
    at(offset::timer_divide) = divide_by_16;
    at(offset::timer) = masked;
    at(offset::timer_initial) = 0xffffffff;
    delay_microseconds(calibration_milliseconds * 1000);
    const uint32_t counts = 0xffffffff - at(offset::timer_current);
    at(offset::timer_initial) = 0;
    timer_counts_per_tick = counts / calibration_milliseconds;
    if (timer_counts_per_tick == 0)
        panic("local APIC timer does not count", nullptr, counts);
}

void start_tick() {
    at(offset::timer_divide) = divide_by_16;
    at(offset::timer) = periodic | static_cast<uint32_t>(vector::tick);
    at(offset::timer_initial) = timer_counts_per_tick;
}

void stop_tick() {
    at(offset::timer_initial) = 0;
    at(offset::timer) = masked;
}

void end_of_interrupt() {
    at(offset::end_of_interrupt) = 0;
}

void send_nmi(uint32_t cpu_id) {
    command(cpu_at(cpu_id).apic_id, local_apic::deliver_nmi | level_assert);
}

void send_interrupt(uint32_t cpu_id, uint8_t number) {
    command(cpu_at(cpu_id).apic_id, level_assert | number);
}

void send_init(uint32_t apic_id) {
    command(apic_id, deliver_init | level_assert);
}

void send_startup(uint32_t apic_id, uintptr_t physical) {
    command(apic_id, deliver_startup | level_assert | static_cast<uint32_t>(physical / page_size));
}

void stop_by_nmi(uint32_t apic_id) {
    send_command(apic_id, local_apic::deliver_nmi | level_assert);
}

void stop_by_init(uint32_t apic_id) {
    send_command(apic_id, deliver_init | level_assert);
}

} // namespace kernel
