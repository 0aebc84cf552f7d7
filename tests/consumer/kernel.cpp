// SPDX-License-Identifier: MIT
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"

using namespace nmisafe;

#ifdef __x86_64__
x86::gate_64 idt[X86_VECTORS];
#else
x86::gate_32 idt[X86_VECTORS];
#endif

// Compilers call it in freestanding code too, clang at -O0.
extern "C" void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

extern "C" void start() {
    trap::set_return_policy(trap::return_policy::near);
    trap::set_nmi_handler([](x86::trap_frame&) {
        if (!context::in_nmi())
            asm volatile("ud2");
        asm volatile("int3");
    });
    trap::set_handler(X86_VECTOR_BP, [](x86::trap_frame&) { return true; });
    trap::set_page_fault_handler([](x86::trap_frame&, uintptr_t) { return false; });
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector) {
        const uintptr_t entry = trap::entry_address(static_cast<uint8_t>(vector));
#ifdef __x86_64__
        idt[vector] =
            x86::make_gate_64(entry, x86::read_cs(), vector == X86_VECTOR_NMI ? trap::nmi_ist : 0);
#else
        idt[vector] = x86::make_gate_32(entry, x86::read_cs(), x86::gate_type::interrupt);
#endif
    }
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
    for (;;)
        asm volatile("hlt");
}
