// SPDX-License-Identifier: MIT
#include "kernel/experiments/machine/setup_faults.hpp"

#include "kernel/console/console.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/vectors.h"

namespace kernel {

using namespace nmisafe;

namespace {

constexpr unsigned gate_words = sizeof(uintptr_t) / 4;

/// The first word of a gate of the IDT in use.
volatile uint64_t& gate_of(unsigned vector) {
    x86::table_register table;
    asm volatile("sidt %[table]" : [table] "=m"(table));
    return reinterpret_cast<volatile uint64_t*>(table.base)[vector * gate_words];
}

bool is_found(setup::fault what) {
    const setup::finding found = setup::check_setup();
    if (found.what != what)
        print("setup: ", setup::describe(found.what), " vector=", uint32_t{found.vector},
              " value=", hex{found.value}, "\n");
    return found.what == what;
}

/// Nothing that could use the gate comes meanwhile: #MC is nobody's here.
bool is_found_in_gate(uint64_t flipped, setup::fault what) {
    volatile uint64_t& gate = gate_of(X86_VECTOR_MC);
    const uint64_t before = gate;
    gate = before ^ flipped;
    const bool found = is_found(what);
    gate = before;
    return found;
}

} // namespace

bool setup_is_right() {
    static uint32_t right;
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { right += is_found(setup::fault::none); }, nullptr);
        wait(id);
    }
    return right == cpu_count();
}

bool setup_faults_are_found() {
    constexpr uint64_t bit = 1;
    bool found = is_found_in_gate(bit << 47, setup::fault::gate_absent);
    found &= is_found_in_gate(bit << 40, setup::fault::gate_kind);
    found &= is_found_in_gate(bit << 55, setup::fault::gate_target);
    found &= is_found_in_gate(bit << 45, setup::fault::gate_ring);
#ifdef __x86_64__
    found &= is_found_in_gate(uint64_t{7} << 32, setup::fault::stack_shared); // that of #DB
#endif
    const uintptr_t before = x86::read_dr7();
    x86::write_dr7(before | 1);
    found &= is_found(setup::fault::debug_control);
    x86::write_dr7(before);
    return found && is_found(setup::fault::none);
}

} // namespace kernel
