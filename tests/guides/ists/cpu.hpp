// SPDX-License-Identifier: MIT
// docs/guides/add_to_a_kernel.md, "x86-64 with ISTs": what a CPU is given. The preemptive kernel has it too.
#pragma once

#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"
#include "tests/guides/machine.hpp"

using namespace nmisafe;

constexpr uint16_t code_selector = 8, task_selector = 24;

struct nmi_stack {
    alignas(4096) uint8_t stack[8192 - sizeof(trap::nmi_block)];
    trap::nmi_block block;
};
static_assert(sizeof(nmi_stack::stack) >= trap::smallest_nmi_stack + 4096); // yours: 4096

per_cpu cpu; // one for each CPU, as all that follows but the IDT
nmi_stack nmi;
alignas(16) uint8_t other_stacks[3][4096]; // #DB, #DF, #MC: smallest_stack, and your handlers' need
x86::segment_descriptor gdt[5] = {
    {0},
    x86::make_segment(0, x86::flat_limit, x86::segment_type::code, x86::segment_width::bits_64),
    x86::make_segment(0, x86::flat_limit, x86::segment_type::data, x86::segment_width::bits_32)};
x86::gate_64 idt[X86_VECTORS];

static void set_up_cpu() {
    cpu.self = &cpu;
    const auto gs_base = reinterpret_cast<uintptr_t>(&cpu);
    x86::write_msr(X86_MSR_GS_BASE, gs_base);
    trap::set_up_nmi_block(nmi.block, gs_base);
    if (!keeps(step::gs))
        nmi.block.gs_base = 0;
    for (unsigned i = 0; i < 3; ++i) // IST 2 to 4: they grow down
        nmi.block.tss.ist[1 + i] =
            reinterpret_cast<uintptr_t>(other_stacks[i]) + sizeof other_stacks[i];
    const auto task = reinterpret_cast<uintptr_t>(&nmi.block.tss);
    gdt[task_selector / 8] =
        x86::make_segment(static_cast<uint32_t>(task), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    gdt[task_selector / 8 + 1].bits = task >> 32;
    x86::load_gdt({sizeof gdt - 1, reinterpret_cast<uintptr_t>(gdt)});
    if (keeps(step::tss))
        x86::load_task_register(task_selector);
}

static uint8_t stack_of(unsigned vector) {
    return vector == X86_VECTOR_NMI  ? trap::nmi_ist
           : vector == X86_VECTOR_DB ? 2
           : vector == X86_VECTOR_DF ? 3
           : vector == X86_VECTOR_MC ? 4
                                     : 0;
}

static void set_up_gates() {
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        idt[vector] = x86::make_gate_64(trap::entry_address(static_cast<uint8_t>(vector)),
                                        code_selector, stack_of(vector));
    if (!keeps(step::stack))
        idt[X86_VECTOR_BP] =
            x86::make_gate_64(trap::entry_address(X86_VECTOR_BP), code_selector, 2);
    if (!keeps(step::gate))
        idt[X86_VECTOR_PF].low |= uint64_t{1} << 40; // a trap gate
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
}
