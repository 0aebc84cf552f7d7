// SPDX-License-Identifier: MIT
#include "kernel/devices/hpet.hpp"

#include "kernel/devices/io_apic.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace hpet {

uintptr_t base;

} // namespace hpet

namespace {

constexpr uintptr_t customary_address = 0xfed00000;
constexpr uint32_t longest_period = 100'000'000; // femtoseconds [HPET 2.3.4]
constexpr uint32_t femtoseconds_per_microsecond = 1'000'000'000;

constexpr uint32_t capable_of_legacy_replacement = 1 << 15;
constexpr uint32_t configuration_enable = 1;
constexpr uint32_t configuration_legacy_replacement = 2;
constexpr uint32_t legacy_pin = 2; // where timer 0 is then
constexpr uint32_t first_new_pin = 16;
constexpr uint32_t timer_level_triggered = 1 << 1;
constexpr uint32_t timer_enable = 1 << 2;
constexpr uint32_t timer_periodic = 1 << 3;
constexpr uint32_t timer_32_bits = 1 << 8;
constexpr uint32_t timer_route_shift = 9;
constexpr uint32_t timer_route_mask = 0x1f << timer_route_shift;
constexpr uint32_t timer_by_message = 1 << 14;

uint32_t period;
uint32_t per_microsecond;
uint32_t one_shot_pin;
uint32_t running; // what configuration() has while the counter runs

volatile uint32_t& capabilities() {
    return *device_register(hpet::base);
}
volatile uint32_t& period_register() {
    return *device_register(hpet::base + 0x004);
}
volatile uint32_t& configuration() {
    return *device_register(hpet::base + 0x010);
}
volatile uint32_t& counter_high() {
    return *device_register(hpet::base + 0x0f4);
}
volatile uint32_t& timer_configuration() {
    return *device_register(hpet::base + 0x100);
}
volatile uint32_t& timer_routes() {
    return *device_register(hpet::base + 0x104);
}

/// The highest pin that the timer reaches. From 16 on no old device has a part in the pin; below
/// that Bochs, which offers all 24, leads its pin 2 nowhere. QEMU's q35 offers 2, 8 and 16 to 23,
/// its i440fx only 2, where the PIT is too, and raises edges though it is parked: there the HPET
/// takes the PIT's place. [HPET 2.3.5, LEG_RT_CNF]
void choose_pin() {
    const uint32_t routes = timer_routes();
    if (routes == 0)
        panic("the HPET reaches no pin of the I/O APIC", nullptr, 0);
    one_shot_pin = static_cast<uint32_t>(std::bit_width(routes)) - 1;
    running = configuration_enable;
    if (one_shot_pin >= first_new_pin || (capabilities() & capable_of_legacy_replacement) == 0)
        return;
    one_shot_pin = legacy_pin;
    running |= configuration_legacy_replacement;
}

void enable_one_shot() {
    one_shot_disarm();
    uint32_t value = timer_configuration();
    value &= ~(timer_level_triggered | timer_periodic | timer_route_mask | timer_by_message);
    value |= timer_enable | timer_32_bits | one_shot_pin << timer_route_shift;
    timer_configuration() = value;
    one_shot_disarm();
}

/// Bochs takes the counter's begin at 0 for its coming round, when the one-shot's time is over for the first time, and
/// raises one event more. So one time passes while nobody is told.
void let_one_time_pass() {
    constexpr uint32_t distance = 1000;
    timer_configuration() = timer_configuration() | timer_32_bits; // or its upper half counts too
    one_shot_arm(distance);
    const uint32_t begin = ticks();
    while (ticks() - begin < 2 * distance)
        nmisafe::x86::pause();
}

} // namespace

void set_up_hpet(uintptr_t address) {
    hpet::base = address == 0 ? customary_address : address;
    period = period_register();
    if (period == 0 || period > longest_period)
        panic("no HPET", nullptr, period);
    per_microsecond = femtoseconds_per_microsecond / period;
    choose_pin();
    configuration() = running;
    const uint32_t before = ticks();
    for (unsigned attempts = 0; ticks() == before; ++attempts)
        if (attempts == 1'000'000)
            panic("the HPET does not count", nullptr, before);
    one_shot_shut_down();
    let_one_time_pass();
}

void restart_counter() {
    one_shot_shut_down();
    configuration() = 0; // it can be written while it stands only
    hpet::counter() = 0;
    counter_high() = 0;
    configuration() = running;
    let_one_time_pass();
}

uint32_t tick_period() {
    return period;
}

uint32_t ticks_per_microsecond() {
    return per_microsecond;
}

void delay_microseconds(uint32_t microseconds) {
    const uint32_t wanted = microseconds * per_microsecond;
    const uint32_t begin = ticks();
    while (ticks() - begin < wanted)
        nmisafe::x86::pause();
}

void one_shot_set_up_nmi(uint32_t cpu_id) {
    one_shot_shut_down();
    enable_one_shot();
    route_nmi(one_shot_pin, cpu_id);
}

void one_shot_set_up_interrupt(uint8_t vector, uint32_t cpu_id) {
    one_shot_shut_down();
    enable_one_shot();
    route_interrupt(one_shot_pin, vector, cpu_id);
}

/// Masked first: from pin 16 on QEMU inverts the line when the timer is turned off, which looks
/// like an edge.
void one_shot_shut_down() {
    mask(one_shot_pin);
    timer_configuration() = timer_configuration() & ~timer_enable;
}

} // namespace kernel
