// SPDX-License-Identifier: MIT
// docs/guides/add_to_a_kernel.md, "i386, higher half": one stack a thread, on which everything lands but #DF.
#ifdef __i386__
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"
#include "tests/guides/experiment/experiment.hpp"
#include "tests/guides/machine.hpp"

using namespace nmisafe;

constexpr uint16_t code_selector = 8, data_selector = 16, per_cpu_selector = 24, task_selector = 32,
                   double_fault_selector = 40;

per_cpu cpu; // one for each CPU, as all that follows
x86::segment_descriptor gdt[6] = {
    {0},
    x86::make_segment(0, x86::flat_limit, x86::segment_type::code, x86::segment_width::bits_32),
    x86::make_segment(0, x86::flat_limit, x86::segment_type::data, x86::segment_width::bits_32)};
x86::gate_32 idt[X86_VECTORS];
x86::tss_32 task, double_fault_task;
alignas(16) uint8_t double_fault_stack[4096];

static uint32_t address_of(const void* object) {
    return reinterpret_cast<uintptr_t>(object);
}

[[noreturn]] static void on_double_fault() {
    panic("double fault at", task.eip);
}

static void set_up_handlers() {
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
}

static void check_this_cpu() {
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what), found.vector);
}

static void set_up_gs() {
    cpu.self = &cpu;
    gdt[per_cpu_selector / 8] = x86::make_segment(
        address_of(&cpu), x86::flat_limit, x86::segment_type::data, x86::segment_width::bits_32);
    x86::load_gdt({sizeof gdt - 1, address_of(gdt)});
    asm volatile("movl %[selector], %%gs"
                 :
                 : [selector] "r"(uint32_t{per_cpu_selector})
                 : "memory");
    if (keeps(step::gs))
        trap::set_percpu_selector(per_cpu_selector);
}

static void set_up_tasks() {
    task.io_map_base = sizeof task;
    double_fault_task = {};
    double_fault_task.cr3 = x86::read_cr3();
    double_fault_task.eip = reinterpret_cast<uintptr_t>(on_double_fault);
    double_fault_task.eflags = X86_FLAGS_FIXED;
    double_fault_task.esp = address_of(double_fault_stack) + sizeof double_fault_stack;
    double_fault_task.cs = code_selector;
    double_fault_task.ds = double_fault_task.es = double_fault_task.ss = data_selector;
    double_fault_task.gs = per_cpu_selector;
    double_fault_task.io_map_base = sizeof double_fault_task;
    constexpr auto type = x86::segment_type::tss_32;
    constexpr auto system = x86::segment_width::system;
    gdt[task_selector / 8] = x86::make_segment(address_of(&task), sizeof task - 1, type, system);
    if (keeps(step::tss))
        gdt[double_fault_selector / 8] = x86::make_segment(
            address_of(&double_fault_task), sizeof double_fault_task - 1, type, system);
    x86::load_task_register(task_selector);
}

static void set_up_gates() {
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        idt[vector] = x86::make_gate_32(trap::entry_address(static_cast<uint8_t>(vector)),
                                        code_selector, x86::gate_type::interrupt);
    if (keeps(step::double_fault))
        idt[X86_VECTOR_DF] = x86::make_gate_32(0, double_fault_selector, x86::gate_type::task);
    if (!keeps(step::gate))
        idt[X86_VECTOR_PF].bits |= uint64_t{1} << 40; // a trap gate
    x86::load_idt({sizeof idt - 1, address_of(idt)});
}

extern "C" [[noreturn]] void kernel_main() {
    mask_interrupt_controllers();
    set_up_gs();
    set_up_tasks();
    set_up_gates();
    set_up_handlers();
    if (!keeps(step::policy))
        trap::set_return_policy(trap::return_policy::iret);
    check_this_cpu();
    if (!keeps(step::stack))
        asm volatile("movl $0x1000, %esp\n\tpushl %eax"); // nothing is mapped there
    map_faulting_page(false);
    while (nmis < wanted) {
        if (nmis == sent)
            send_nmi();
        asm volatile("pause");
    }
    report();
    for (;;) {
    }
}
#endif
