// SPDX-License-Identifier: MIT
// A module that takes nothing back of what its init has done: neither when that fails nor, since it
// has no exit, when the module is unloaded.
#include "kernel/modules/loaded/forgets.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("forgets");

namespace {

using namespace nmisafe;

uint32_t own; // data that goes with the module

void count() {
    __atomic_fetch_add(&own, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&kernel::forgotten.calls, 1, __ATOMIC_RELAXED);
}

void on_mark(const marker::marker&, void*, const marker::arguments&) {
    count();
}
constinit marker::probe mark_probe(on_mark, nullptr);

void on_instruction(kprobe::probe&, x86::trap_frame&) {
    count();
}
constinit kprobe::probe code_probe{};

} // namespace

bool nmisafe_module_init() {
    code_probe.address = code_probe.function = kernel::forgotten.instruction;
    code_probe.slot = kernel::forgotten.slot;
    code_probe.pre = on_instruction;
    kernel::forgotten.kprobe = &code_probe;
    if (!kprobe::insert(code_probe) ||
        !marker::register_probe("kernel", "outlives", nullptr, mark_probe))
        __atomic_fetch_add(&kernel::forgotten.refused, 1, __ATOMIC_RELAXED);
    return kernel::forgotten.goes_on;
}
