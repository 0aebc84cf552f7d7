// SPDX-License-Identifier: MIT
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"

#include "nmisafe/text_patch/breakpoint.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"

using namespace nmisafe;

void on_nmi(x86::trap_frame&);
bool on_page_fault(x86::trap_frame&, uintptr_t address);
bool on_breakpoint(x86::trap_frame&);

#ifdef __x86_64__
x86::gate_64 idt[X86_VECTORS];
#else
x86::gate_32 idt[X86_VECTORS];
#endif

void boot(uint8_t vector, uint16_t code_selector, uint8_t stack) {
    trap::set_return_policy(trap::return_policy::near);
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
#ifdef __x86_64__
    idt[vector] = x86::make_gate_64(trap::entry_address(vector), code_selector, stack);
#else
    static_cast<void>(stack);
    idt[vector] =
        x86::make_gate_32(trap::entry_address(vector), code_selector, x86::gate_type::interrupt);
#endif
}

[[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t dispatch_breakpoint(x86::trap_frame* frame) {
    return text_patch::handle_in_batch(*frame) ? trap::plan_breakpoint_return(*frame)
                                               : trap::nmisafe_trap_dispatch(frame);
}

void later() {
    trap::set_breakpoint_dispatch(dispatch_breakpoint);
}
