// SPDX-License-Identifier: MIT
// costs: how many instructions the library takes on its paths, with handlers that do nothing. The
// tool counts them in QEMU's log between the addresses printed here.
#include "kernel/core/console.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/scene.hpp"
#include "kernel/experiments/windows.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
void nmisafe_trap_nmi(nmisafe::x86::trap_frame*);
extern const char nmisafe_trap_nmi_exit[];
}

namespace kernel {
namespace {

void measure(const char* name, uintptr_t from, uintptr_t to) {
    print("@measure name=", name, " from=", hex{from}, " to=", hex{to}, "\n");
}

template <typename Symbol>
uintptr_t address_of(Symbol* symbol) {
    return reinterpret_cast<uintptr_t>(symbol);
}

} // namespace

void costs() {
    nmisafe::x86::disable_interrupts();
    const uintptr_t nmi = nmisafe::trap::entry_address(X86_VECTOR_NMI);
    // As Linux's figures are counted: up to the library's C++ function and back from it.
    measure("nmi-entry", nmi, address_of(nmisafe_trap_nmi));
    measure("nmi-exit", address_of(nmisafe_trap_nmi_exit), address_of(window_nmi_nothing_end));
    // All of it: up to the embedding kernel's handler and from its return instruction on.
    measure("nmi-entry-to-handler", nmi, address_of(empty_nmi_handler));
    measure("nmi-exit-from-handler", address_of(empty_nmi_handler),
            address_of(window_nmi_nothing_end));
    // The INT3 itself, both ways, and the handler's two instructions.
    measure("breakpoint-roundtrip", address_of(window_breakpoint_begin),
            address_of(window_breakpoint_end));
    // The return alone, from the end of the C++ dispatch.
    measure("breakpoint-return", address_of(nmisafe_trap_return),
            address_of(window_breakpoint_end));

    set_scene(nullptr);
    nmisafe::trap::set_nmi_handler(empty_nmi_handler);
    nmisafe::trap::set_handler(X86_VECTOR_BP, empty_breakpoint_handler);
    window_breakpoint();
    raise_nmi_in_window(window_nmi_nothing);
    scene.count.handled = 1; // the empty handler counts nothing
    print_row(nullptr);
}

} // namespace kernel
