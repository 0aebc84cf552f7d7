// SPDX-License-Identifier: MIT
// x86-64: the TSS holds stacks, GS base is a register. The twin of descriptor_tables_x86_32.cpp.
#ifdef __x86_64__

#include "kernel/cpu/descriptor_tables.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/join_text.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
alignas(4096) // a page of its own, which user mode's page tables have too
#endif
    x86::gate_64 interrupt_table[X86_VECTORS];

} // namespace

namespace internal {

[[KERNEL_JOIN_TEXT]] x86::table_register interrupt_table_register() {
    return {sizeof(interrupt_table) - 1, reinterpret_cast<uintptr_t>(interrupt_table)};
}

void set_gate(uint8_t vector, interrupt_stack stack, uintptr_t entry, bool from_user) {
    interrupt_table[vector] =
        x86::make_gate_64(entry, code_selector, static_cast<uint8_t>(stack),
                          from_user ? x86::gate_type::user_interrupt : x86::gate_type::interrupt);
}

void set_gate(uint8_t vector, interrupt_stack stack) {
    constexpr uintptr_t endbr_length = 4;
    const bool behind = vector == X86_VECTOR_BP && is_removed(defence::endbr);
    set_gate(vector, stack, trap::entry_address(vector) + (behind ? endbr_length : 0), false);
}

void prepare_task(cpu&) {} // the TSS comes with the NMI's stack

[[KERNEL_JOIN_TEXT]] void load_segments_and_task(cpu& mine) {
    x86::load_gdt({sizeof(mine.gdt) - 1, reinterpret_cast<uintptr_t>(mine.gdt)});
    x86::write_msr(X86_MSR_GS_BASE, reinterpret_cast<uintptr_t>(&mine));
    if (mine.nmi_block != nullptr)
        x86::load_task_register(KERNEL_TASK_SELECTOR);
}

} // namespace internal

namespace {

/// The TSS and its descriptor, in place of the one that the CPU had when it was started before.
void set_up_task(cpu& owner) {
    const auto base = reinterpret_cast<uintptr_t>(&owner.nmi_block->tss);
    owner.gdt[KERNEL_TASK_SELECTOR / 8] =
        x86::make_segment(static_cast<uint32_t>(base), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    owner.gdt[KERNEL_TASK_SELECTOR / 8 + 1].bits = base >> 32;
}

} // namespace

void set_interrupt_stack(cpu& owner, interrupt_stack which, uintptr_t top) {
    static_assert(static_cast<uint8_t>(interrupt_stack::nmi) == trap::nmi_ist);
    if (which == interrupt_stack::nmi) {
        owner.nmi_block = reinterpret_cast<trap::nmi_block*>(top - sizeof(trap::nmi_block));
        owner.nmi_block->tss = {};
        trap::set_up_nmi_block(*owner.nmi_block, reinterpret_cast<uintptr_t>(&owner));
        user::set_up_nmi(*owner.nmi_block);
        set_up_task(owner);
        return;
    }
    top -= sizeof(user::ist_top);
    *reinterpret_cast<user::ist_top*>(top) = {reinterpret_cast<uintptr_t>(&owner), 0};
    owner.nmi_block->tss.ist[static_cast<unsigned>(which) - 1] = top;
}

/// CR4 first: an NMI or #MC in between still reads the MSR.
void use_fsgsbase(cpu& mine) {
    x86::write_cr4(x86::read_cr4() | X86_CR4_FSGSBASE);
    for (const auto which :
         {interrupt_stack::double_fault, interrupt_stack::machine_check, interrupt_stack::debug}) {
        const uintptr_t top = mine.nmi_block->tss.ist[static_cast<unsigned>(which) - 1];
        reinterpret_cast<user::ist_top*>(top)->has_fsgsbase = 1;
    }
    mine.nmi_block->has_fsgsbase = 1;
}

void load_task() {
    x86::load_task_register(KERNEL_TASK_SELECTOR);
}

void set_user_stack_top(cpu& mine, uintptr_t top) {
    mine.user.stack_top = top;
#ifndef NMISAFE_PAGE_TABLE_ISOLATION
    mine.nmi_block->tss.rsp[0] = top;
#endif
}

void set_up_fast_system_calls(cpu&, uintptr_t) {
    x86::load_local_table(0);
    user::set_up_syscalls(code_selector);
}

} // namespace kernel

#endif // __x86_64__
