// SPDX-License-Identifier: MIT
#include "nmisafe/c/trap.h"

#include "nmisafe/base/std.hpp"
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"

// A reference is passed as the pointer that C knows: the handlers are called as they are. (std::bit_cast is not there
// in each library that the compilers come with.)
void nmisafe_set_handler(uint8_t vector, nmisafe_handler function) {
    nmisafe::trap::set_handler(vector, __builtin_bit_cast(nmisafe::trap::handler, function));
}

void nmisafe_set_page_fault_handler(nmisafe_page_fault_handler function) {
    nmisafe::trap::set_page_fault_handler(
        __builtin_bit_cast(nmisafe::trap::page_fault_handler, function));
}

void nmisafe_set_nmi_handler(nmisafe_nmi_handler function) {
    nmisafe::trap::set_nmi_handler(__builtin_bit_cast(nmisafe::trap::nmi_handler, function));
}

uintptr_t nmisafe_entry_address(uint8_t vector) {
    return nmisafe::trap::entry_address(vector);
}

void nmisafe_fill_gate(void* idt, uint8_t vector, uint16_t code_selector,
                       [[maybe_unused]] uint8_t ist) {
    using namespace nmisafe;
    const uintptr_t entry = trap::entry_address(vector);
#ifdef __x86_64__
    static_cast<x86::gate_64*>(idt)[vector] = x86::make_gate_64(entry, code_selector, ist);
#else
    static_cast<x86::gate_32*>(idt)[vector] =
        x86::make_gate_32(entry, code_selector, x86::gate_type::interrupt);
#endif
}

#ifdef __x86_64__
void nmisafe_set_up_nmi_block(nmisafe_nmi_block* block, uintptr_t gs_base) {
    nmisafe::trap::set_up_nmi_block(*reinterpret_cast<nmisafe::trap::nmi_block*>(block), gs_base);
}
#else
void nmisafe_set_percpu_selector(uint16_t selector) {
    nmisafe::trap::set_percpu_selector(selector);
}
#endif

void nmisafe_set_debug_control(uintptr_t value) {
    nmisafe::trap::set_debug_control(value);
}

const char* nmisafe_check_setup(uint32_t own, uint8_t* vector) {
    const nmisafe::setup::finding found = nmisafe::setup::check_setup(own);
    if (vector != nullptr)
        *vector = found.vector;
    return found.what == nmisafe::setup::fault::none ? nullptr
                                                     : nmisafe::setup::describe(found.what);
}
