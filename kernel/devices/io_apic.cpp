// SPDX-License-Identifier: MIT
#include "kernel/devices/io_apic.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/panic.hpp"

namespace kernel {

namespace {

constexpr uint32_t version_register = 1;
constexpr uint32_t first_redirection = 0x10;
constexpr uint32_t masked = 1 << 16;
constexpr uint32_t deliver_nmi = 4 << 8;

uintptr_t base;
uint32_t pins;
spinlock lock; // a register is chosen by one store and accessed by the next

volatile uint32_t& chosen() {
    return *device_register(base);
}
volatile uint32_t& window() {
    return *device_register(base + 0x10);
}

uint32_t read(uint32_t which) {
    const locked hold(lock);
    chosen() = which;
    return window();
}

void write(uint32_t which, uint32_t value) {
    const locked hold(lock);
    chosen() = which;
    window() = value;
}

/// Masked while it is half written.
void route(uint32_t pin, uint32_t how, uint32_t cpu_id) {
    if (pin >= pins)
        panic("the I/O APIC has no such pin", nullptr, pin);
    mask(pin);
    write(first_redirection + 2 * pin + 1, cpu_at(cpu_id).apic_id << 24);
    write(first_redirection + 2 * pin, how);
}

} // namespace

void set_up_io_apic(uintptr_t address) {
    base = address;
    pins = (read(version_register) >> 16 & 0xff) + 1;
    for (uint32_t pin = 0; pin < pins; ++pin)
        mask(pin);
}

void route_nmi(uint32_t pin, uint32_t cpu_id) {
    route(pin, deliver_nmi, cpu_id);
}

void route_interrupt(uint32_t pin, uint8_t vector, uint32_t cpu_id) {
    route(pin, vector, cpu_id);
}

void mask(uint32_t pin) {
    write(first_redirection + 2 * pin, masked);
}

} // namespace kernel
