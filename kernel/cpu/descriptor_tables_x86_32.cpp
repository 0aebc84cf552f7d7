// SPDX-License-Identifier: MIT
// x86-32: GS is a segment, a double fault a task of its own. The twin of
// descriptor_tables_x86_64.cpp.
#ifdef __i386__

#include "kernel/cpu/descriptor_tables.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/join_text.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void kernel_double_fault_task(); // double_fault_x86_32.S

namespace kernel {

using namespace nmisafe;

namespace {

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
constexpr size_t table_bytes = 4096; // a page of its own, which user mode's page tables have too
#else
constexpr size_t table_bytes = X86_VECTORS * sizeof(x86::gate_32);
#endif

alignas(table_bytes) x86::gate_32 interrupt_table[table_bytes / sizeof(x86::gate_32)];

uint32_t address_of(const void* object) {
    return reinterpret_cast<uintptr_t>(object);
}

} // namespace

namespace internal {

[[KERNEL_JOIN_TEXT]] x86::table_register interrupt_table_register() {
    return {X86_VECTORS * sizeof(x86::gate_32) - 1, reinterpret_cast<uintptr_t>(interrupt_table)};
}

void set_gate(uint8_t vector, interrupt_stack stack, uintptr_t entry, bool from_user) {
    const bool task = stack == interrupt_stack::double_fault;
    const auto interrupt = from_user ? x86::gate_type::user_interrupt : x86::gate_type::interrupt;
    interrupt_table[vector] =
        x86::make_gate_32(entry, task ? KERNEL_DOUBLE_FAULT_SELECTOR : code_selector,
                          task ? x86::gate_type::task : interrupt);
}

void set_gate(uint8_t vector, interrupt_stack stack) {
    constexpr uintptr_t endbr_length = 4;
    const bool behind = vector == X86_VECTOR_BP && is_removed(defence::endbr);
    set_gate(vector, stack, trap::entry_address(vector) + (behind ? endbr_length : 0), false);
}

void prepare_task(cpu& owner) {
    constexpr auto system = x86::segment_width::system;
    constexpr uint32_t limit = sizeof(x86::tss_32) - 1;
    owner.tss.io_map_base = sizeof(owner.tss);
    owner.gdt[KERNEL_PER_CPU_SELECTOR / 8] = x86::make_segment(
        address_of(&owner), x86::flat_limit, x86::segment_type::data, x86::segment_width::bits_32);
    owner.gdt[KERNEL_TASK_SELECTOR / 8] =
        x86::make_segment(address_of(&owner.tss), limit, x86::segment_type::tss_32, system);
    owner.gdt[KERNEL_DOUBLE_FAULT_SELECTOR / 8] = x86::make_segment(
        address_of(&owner.double_fault_tss), limit, x86::segment_type::tss_32, system);
    trap::set_percpu_selector(KERNEL_PER_CPU_SELECTOR);
}

[[KERNEL_JOIN_TEXT]] void load_segments_and_task(cpu& mine) {
    x86::load_gdt({sizeof(mine.gdt) - 1, reinterpret_cast<uintptr_t>(mine.gdt)});
    asm volatile("mov %[selector], %%gs" : : [selector] "r"(KERNEL_PER_CPU_SELECTOR) : "memory");
    x86::load_task_register(KERNEL_TASK_SELECTOR);
}

} // namespace internal

void set_interrupt_stack(cpu& owner, interrupt_stack which, uintptr_t top) {
    if (which != interrupt_stack::double_fault)
        return; // everything else stays on the interrupted stack
    x86::tss_32& task = owner.double_fault_tss;
    task = {};
    task.cr3 = x86::read_cr3();
    task.eip = reinterpret_cast<uintptr_t>(kernel_double_fault_task);
    task.eflags = X86_FLAGS_FIXED;
    task.esp = top;
    task.cs = code_selector;
    task.ds = task.es = task.ss = data_selector;
    task.gs = KERNEL_PER_CPU_SELECTOR;
    task.io_map_base = sizeof(task);
}

#ifdef NMISAFE_PAGE_TABLE_ISOLATION

void set_user_stack_top(cpu& mine, uintptr_t top) {
    mine.user.stack_top = top;
}

void set_up_fast_system_calls(cpu& mine, uintptr_t) {
    x86::load_local_table(0);
    user::set_up_syscalls(code_selector, mine.user);
}

#else

void set_user_stack_top(cpu& mine, uintptr_t top) {
    mine.user.stack_top = top;
    mine.tss.esp0 = top;
    mine.tss.ss0 = data_selector;
    if (mine.sysenter != nullptr)
        mine.sysenter->stack_top = top;
}

void set_up_fast_system_calls(cpu& mine, uintptr_t sysenter_stack) {
    x86::load_local_table(0);
    mine.sysenter = reinterpret_cast<user::sysenter_top*>(sysenter_stack) - 1;
    mine.sysenter->stack_top = mine.user.stack_top;
    user::set_up_syscalls(code_selector, *mine.sysenter);
}

#endif

void load_task() {} // with the other tables

} // namespace kernel

#endif // __i386__
