// SPDX-License-Identifier: MIT
// A module whose probe is called by a marker in the kernel's NMI handler. The probe's code, its
// constants and its data are all the module's, so that in an address space which has none of them
// each takes a page fault, in the NMI. It also has a marker, an immediate value and a second probe
// of its own.
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "kernel/threads/insist.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("nmi_probe");

namespace {

using namespace nmisafe;

/// Constants: read by index, so that they stay in memory.
constexpr uint32_t table_size = 64;
struct constants {
    uint32_t words[table_size];
    constexpr constants() : words{} {
        for (uint32_t i = 0; i < table_size; ++i)
            words[i] = i * i + 7;
    }
};
constexpr constants table;

/// Data: written by each call.
uint32_t latest[table_size];
uint32_t turn;

void count(uint32_t& word) {
    __atomic_fetch_add(&word, 1, __ATOMIC_RELAXED);
}

void on_own_mark(const marker::marker&, void*, const marker::arguments& values) {
    if (values[0].as_unsigned() < table_size)
        count(kernel::nmi_probe_count.own_marks);
}
constinit marker::probe own_probe(on_own_mark, nullptr);

/// Stays for a while where interrupts are on: who unloads the module then has to wait for this.
void linger() {
    for (uint32_t i = 0; i < kernel::nmi_probe_count.linger; ++i)
        static_cast<void>(__atomic_load_n(&turn, __ATOMIC_RELAXED));
}

/// @context any: called in NMI handlers, and in threads
void on_kernel_mark(const marker::marker&, void* private_data, const marker::arguments&) {
    const uint32_t index = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % table_size;
    latest[index] = table.words[index];
    if (latest[index] != index * index + 7 || private_data != latest)
        count(kernel::nmi_probe_count.wrong);
    const uint32_t value = immediate::read<kernel::nmi_probe_value>();
    if (value == 0 || value > 3)
        count(kernel::nmi_probe_count.wrong_values);
    __atomic_store_n(&kernel::nmi_probe_count.latest_value, value, __ATOMIC_RELAXED);
    count(kernel::nmi_probe_count.calls);
    if (!context::in_interrupt())
        linger();
    trace_mark(nmi_probe, called, "index %u", index);
}
constinit marker::probe kernel_probe(on_kernel_mark, latest);

/// Code that is not to be probed.
[[NMISAFE_TRAP_TEXT, gnu::used]] uint32_t not_to_be_probed() {
    return __atomic_load_n(&turn, __ATOMIC_RELAXED);
}

/// What was not unregistered would be called when the module is gone. The kernel looks at `wrong`.
void unregister(marker::probe& which) {
    if (!kernel::insist([&] { return marker::unregister_probe(which); }))
        count(kernel::nmi_probe_count.wrong);
}

} // namespace

bool nmisafe_module_init() {
    count(kernel::nmi_probe_count.started);
    if (!kernel::insist(
            [] { return marker::register_probe("nmi_probe", "called", "index %u", own_probe); }))
        return false;
    if (kernel::insist([] {
            return marker::register_probe("kernel", "nmi_calls_module", nullptr, kernel_probe);
        }))
        return true;
    unregister(own_probe);
    return false;
}

void nmisafe_module_exit() {
    count(kernel::nmi_probe_count.stopped);
    unregister(kernel_probe);
    unregister(own_probe);
}
