// SPDX-License-Identifier: MIT
// As docs/guides/add_to_a_kernel.md says it for per-CPU stacks and SWAPGS.
#include "cpu.hpp"

using namespace nmisafe;

cpu_memory cpus[cpu_count];
x86::gate_64 idt[X86_VECTORS];

static constexpr uint16_t task_selector = 48;

static uint8_t stack_of(unsigned vector) {
    return vector == X86_VECTOR_NMI  ? trap::nmi_ist
           : vector == X86_VECTOR_DB ? 2
           : vector == X86_VECTOR_DF ? 3
           : vector == X86_VECTOR_MC ? 4
                                     : 0;
}

void fill_idt() {
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        idt[vector] = x86::make_gate_64(user::entry_address(static_cast<uint8_t>(vector)),
                                        code_selector, stack_of(vector));
}

void set_up_cpu(uint32_t id) {
    cpu_memory& mine = cpus[id];
    mine.words.self = &mine.words;
    mine.words.id = id;
    mine.words.tracer = &mine.tracer;
    const auto gs_base = reinterpret_cast<uintptr_t>(&mine.words);
    x86::write_msr(X86_MSR_GS_BASE, gs_base);
    x86::write_msr(X86_MSR_KERNEL_GS_BASE, 0); // the task's
    trap::nmi_block& block = mine.nmi.top;
    trap::set_up_nmi_block(block, gs_base);
    user::set_up_nmi(block);
    mine.debug.top = mine.double_fault.top =
        mine.machine_check.top = {.gs_base = gs_base, .has_fsgsbase = 0};
    block.tss.ist[1] = reinterpret_cast<uintptr_t>(&mine.debug.top); // IST 2
    block.tss.ist[2] = reinterpret_cast<uintptr_t>(&mine.double_fault.top);
    block.tss.ist[3] = reinterpret_cast<uintptr_t>(&mine.machine_check.top);
    const uintptr_t end = reinterpret_cast<uintptr_t>(mine.kernel_stack) + sizeof mine.kernel_stack;
    block.tss.rsp[0] = mine.words.user.stack_top = end;
    const auto task = reinterpret_cast<uintptr_t>(&block.tss);
    const auto segment = [](x86::segment_type type, x86::segment_width width) {
        return x86::make_segment(0, x86::flat_limit, type, width);
    };
    mine.gdt[1] = segment(x86::segment_type::code, x86::segment_width::bits_64);
    mine.gdt[2] = segment(x86::segment_type::data, x86::segment_width::bits_32);
    mine.gdt[4] = segment(x86::segment_type::user_data, x86::segment_width::bits_32);
    mine.gdt[5] = segment(x86::segment_type::user_code, x86::segment_width::bits_64);
    mine.gdt[task_selector / 8] =
        x86::make_segment(static_cast<uint32_t>(task), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    mine.gdt[task_selector / 8 + 1].bits = task >> 32;
    x86::load_gdt({sizeof mine.gdt - 1, reinterpret_cast<uintptr_t>(mine.gdt)});
    x86::load_local_table(0);
    x86::load_task_register(task_selector);
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
    user::set_up_syscalls(code_selector);
}

void enter_task(uintptr_t ip, uintptr_t sp) {
    const uintptr_t end = this_per_cpu().user.stack_top;
    auto& frame = *reinterpret_cast<user::user_frame*>(end - sizeof(user::user_frame));
    frame = {};
    frame.trap.ip = ip;
    frame.trap.cs = NMISAFE_USER_CODE_SELECTOR;
    frame.trap.flags = user::fixed_user_flags;
    frame.sp() = sp;
    frame.ss() = NMISAFE_USER_DATA_SELECTOR;
    user::enter(frame);
}
