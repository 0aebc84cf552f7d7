// SPDX-License-Identifier: MIT
// The same kernel with user mode, as the page of nmisafe/user says.
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"

using namespace nmisafe;

namespace {

constexpr uint16_t kernel_code = 0x08; // the kernel's data behind it: SYSCALL, SYSENTER
constexpr uint16_t kernel_data = 0x10;
#ifdef __i386__
constexpr uint16_t per_cpu_selector = NMISAFE_USER_CPU_SELECTOR;
#endif
constexpr uint16_t task_selector = 0x38;
constexpr uint8_t call_vector = 0x80;

struct per_cpu {
    user::cpu_words user;
    x86::segment_descriptor gdt[9];
} cpu;

alignas(16) uint8_t thread_stack[16384];
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
alignas(16) uint8_t entry_stack[16384];     // of which user mode's tables map the end
constexpr uintptr_t task_tables = 0x200000; // made elsewhere: layout.h says what they must map
#endif

#ifdef __x86_64__

x86::gate_64 idt[X86_VECTORS];

/// A stack, and what lies above the first frame on it.
template <typename Top>
struct alignas(4096) stack_with {
    uint8_t stack[8192 - sizeof(Top)];
    Top top;
};
stack_with<trap::nmi_block> nmi_stack;
stack_with<user::ist_top> debug_stack, machine_check_stack, double_fault_stack;

uint8_t stack_of(unsigned vector) {
    return vector == X86_VECTOR_NMI  ? trap::nmi_ist
           : vector == X86_VECTOR_DB ? trap::nmi_ist + 1
           : vector == X86_VECTOR_MC ? trap::nmi_ist + 2
           : vector == X86_VECTOR_DF ? trap::nmi_ist + 3
                                     : 0;
}

void set_up_stacks() {
    const auto gs_base = reinterpret_cast<uintptr_t>(&cpu);
    x86::write_msr(X86_MSR_GS_BASE, gs_base);
    trap::nmi_block& block = nmi_stack.top;
    trap::set_up_nmi_block(block, gs_base);
    user::set_up_nmi(block);
    for (auto* const stack : {&debug_stack, &machine_check_stack, &double_fault_stack})
        stack->top = {.gs_base = gs_base, .has_fsgsbase = 0};
    block.tss.ist[trap::nmi_ist] = reinterpret_cast<uintptr_t>(&debug_stack.top);
    block.tss.ist[trap::nmi_ist + 1] = reinterpret_cast<uintptr_t>(&machine_check_stack.top);
    block.tss.ist[trap::nmi_ist + 2] = reinterpret_cast<uintptr_t>(&double_fault_stack.top);
    const auto task = reinterpret_cast<uintptr_t>(&block.tss);
    cpu.gdt[task_selector / 8] =
        x86::make_segment(static_cast<uint32_t>(task), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    cpu.gdt[task_selector / 8 + 1].bits = task >> 32;
}

void set_stack_top(uintptr_t top) {
    cpu.user.stack_top = top;
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    nmi_stack.top.tss.rsp[0] = cpu.user.entry_stack;
    user::set_page_tables(cpu.user, nmi_stack.top, x86::read_cr3(), task_tables);
#else
    nmi_stack.top.tss.rsp[0] = top;
#endif
}

void set_up_calls() {
    user::set_up_syscalls(kernel_code);
}

void set_gate(uint8_t vector, x86::gate_type type) {
    idt[vector] =
        x86::make_gate_64(user::entry_address(vector), kernel_code, stack_of(vector), type);
}

#else

x86::gate_32 idt[X86_VECTORS];
x86::tss_32 task; // a double fault, which needs a task of its own, is not caught here

#ifndef NMISAFE_PAGE_TABLE_ISOLATION
struct {
    uint8_t stack[4096 - sizeof(user::sysenter_top)];
    user::sysenter_top top;
} sysenter_stack;
#endif

void set_up_stacks() {
    task.ss0 = kernel_data;
    task.io_map_base = sizeof(task);
    cpu.gdt[per_cpu_selector / 8] =
        x86::make_segment(reinterpret_cast<uintptr_t>(&cpu), x86::flat_limit,
                          x86::segment_type::data, x86::segment_width::bits_32);
    cpu.gdt[task_selector / 8] =
        x86::make_segment(reinterpret_cast<uintptr_t>(&task), sizeof(task) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    trap::set_percpu_selector(per_cpu_selector);
}

#ifdef NMISAFE_PAGE_TABLE_ISOLATION

void set_stack_top(uintptr_t top) {
    cpu.user.stack_top = top;
    task.esp0 = cpu.user.entry_stack;
    user::set_page_tables(cpu.user, x86::read_cr3(), task_tables);
}

void set_up_calls() {
    user::set_up_syscalls(kernel_code, cpu.user);
}

#else

void set_stack_top(uintptr_t top) {
    cpu.user.stack_top = task.esp0 = sysenter_stack.top.stack_top = top;
}

void set_up_calls() {
    user::set_up_syscalls(kernel_code, sysenter_stack.top);
}

#endif

void set_gate(uint8_t vector, x86::gate_type type) {
    idt[vector] = x86::make_gate_32(user::entry_address(vector), kernel_code, type);
}

#endif

void set_up_tables() {
    constexpr auto code_width =
        sizeof(uintptr_t) == 8 ? x86::segment_width::bits_64 : x86::segment_width::bits_32;
    const auto flat = [](x86::segment_type type, x86::segment_width width) {
        return x86::make_segment(0, x86::flat_limit, type, width);
    };
    cpu.gdt[kernel_code / 8] = flat(x86::segment_type::code, code_width);
    cpu.gdt[kernel_data / 8] = flat(x86::segment_type::data, x86::segment_width::bits_32);
    cpu.gdt[NMISAFE_USER_CODE_SELECTOR / 8] = flat(x86::segment_type::user_code, code_width);
    cpu.gdt[NMISAFE_USER_DATA_SELECTOR / 8] =
        flat(x86::segment_type::user_data, x86::segment_width::bits_32);
    set_up_stacks();
    x86::load_gdt({sizeof cpu.gdt - 1, reinterpret_cast<uintptr_t>(cpu.gdt)});
    x86::load_local_table(0);
    x86::load_task_register(task_selector);
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        set_gate(static_cast<uint8_t>(vector), vector == X86_VECTOR_BP || vector == call_vector
                                                   ? x86::gate_type::user_interrupt
                                                   : x86::gate_type::interrupt);
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
}

[[noreturn]] void end_task() {
    for (;;)
        asm volatile("cli\n\thlt");
}

void on_system_call(x86::trap_frame& frame) {
    if (frame.ax == 0)
        end_task();
    frame.ax = 0;
}

} // namespace

// Compilers call them in freestanding code too, clang at -O0.
extern "C" void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

extern "C" void* memset(void* to, int value, size_t size) {
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

extern "C" void start() {
    set_up_tables();
    trap::set_nmi_handler([](x86::trap_frame&) { asm volatile("int3"); });
    trap::set_handler(X86_VECTOR_BP, [](x86::trap_frame&) { return true; });
    trap::set_handler(call_vector, [](x86::trap_frame& frame) {
        on_system_call(frame);
        return true;
    });
    trap::set_page_fault_handler([](x86::trap_frame& frame, uintptr_t) {
        if (user::is_from_user(frame))
            end_task();
        return false;
    });
    user::set_syscall_handler(on_system_call);
    user::set_return_work([](x86::trap_frame&) {});
    user::set_refused_return([](x86::trap_frame&, user::refusal) { end_task(); });
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    cpu.user.entry_stack = reinterpret_cast<uintptr_t>(entry_stack + sizeof entry_stack);
#endif
    set_up_calls();

    const uintptr_t top = reinterpret_cast<uintptr_t>(thread_stack + sizeof thread_stack);
    set_stack_top(top);
    auto& frame = *reinterpret_cast<user::user_frame*>(top - sizeof(user::user_frame));
    frame = {};
    frame.trap.ip = 0x400000;
    frame.trap.cs = NMISAFE_USER_CODE_SELECTOR;
    frame.trap.flags = user::fixed_user_flags;
    frame.sp() = 0x500000;
    frame.ss() = NMISAFE_USER_DATA_SELECTOR;
#ifdef __i386__
    frame.ds = frame.es = NMISAFE_USER_DATA_SELECTOR;
#endif
    user::enter(frame);
}
