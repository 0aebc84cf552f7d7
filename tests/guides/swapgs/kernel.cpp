// SPDX-License-Identifier: MIT
// docs/guides/add_to_a_kernel.md, "x86-64, per-CPU stacks and swapgs": a task in ring 3 that raises NMIs and makes
// system calls.
#ifdef __x86_64__
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"
#include "tests/guides/experiment/experiment.hpp"
#include "tests/guides/machine.hpp"

using namespace nmisafe;

constexpr uint16_t code_selector = 8, task_selector = 48;

template <typename Top>
struct alignas(4096) stack_with {
    uint8_t stack[8192 - sizeof(Top)];
    Top top; // where the IST entry points
};

per_cpu cpu; // one for each CPU, as all that follows but the IDT
stack_with<trap::nmi_block> nmi_stack;
stack_with<user::ist_top> debug_stack, double_fault_stack, machine_check_stack;
alignas(4096) uint8_t kernel_stack[16384]; // of this CPU, or of the thread that runs
x86::gate_64 idt[X86_VECTORS];
x86::segment_descriptor gdt[8] = {
    {0},
    x86::make_segment(0, x86::flat_limit, x86::segment_type::code, x86::segment_width::bits_64),
    x86::make_segment(0, x86::flat_limit, x86::segment_type::data, x86::segment_width::bits_32),
    {0},
    x86::make_segment(0, x86::flat_limit, x86::segment_type::user_data,
                      x86::segment_width::bits_32),
    x86::make_segment(0, x86::flat_limit, x86::segment_type::user_code,
                      x86::segment_width::bits_64)};

static void set_up_stacks() {
    cpu.self = &cpu;
    const auto gs_base = reinterpret_cast<uintptr_t>(&cpu);
    x86::write_msr(X86_MSR_GS_BASE, gs_base);
    trap::nmi_block& block = nmi_stack.top;
    trap::set_up_nmi_block(block, gs_base);
    if (!keeps(step::gs))
        block.gs_base = 0;
    user::set_up_nmi(block);
    debug_stack.top = double_fault_stack.top =
        machine_check_stack.top = {.gs_base = gs_base, .has_fsgsbase = 0};
    block.tss.ist[1] = reinterpret_cast<uintptr_t>(&debug_stack.top); // IST 2
    block.tss.ist[2] = reinterpret_cast<uintptr_t>(&double_fault_stack.top);
    block.tss.ist[3] = reinterpret_cast<uintptr_t>(&machine_check_stack.top);
    const auto task = reinterpret_cast<uintptr_t>(&block.tss);
    gdt[task_selector / 8] =
        x86::make_segment(static_cast<uint32_t>(task), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    gdt[task_selector / 8 + 1].bits = task >> 32;
    x86::load_gdt({sizeof gdt - 1, reinterpret_cast<uintptr_t>(gdt)});
    x86::load_local_table(0);
    if (keeps(step::tss))
        x86::load_task_register(task_selector);
}

// Once with one kernel stack a CPU; at each switch of threads with one a thread.
static void set_kernel_stack(uintptr_t end) {
    nmi_stack.top.tss.rsp[0] = end;
    if (keeps(step::words))
        cpu.user.stack_top = end;
}

static uint8_t stack_of(unsigned vector) {
    return vector == X86_VECTOR_NMI  ? trap::nmi_ist
           : vector == X86_VECTOR_DB ? 2
           : vector == X86_VECTOR_DF ? 3
           : vector == X86_VECTOR_MC ? 4
                                     : 0;
}

static void set_up_gates() {
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector) {
        const auto type =
            vector == X86_VECTOR_BP ? x86::gate_type::user_interrupt : x86::gate_type::interrupt;
        idt[vector] = x86::make_gate_64(user::entry_address(static_cast<uint8_t>(vector)),
                                        code_selector, stack_of(vector), type);
    }
    if (!keeps(step::gate))
        idt[X86_VECTOR_PF].low |= uint64_t{0x60} << 40; // ring 3 may say INT 14
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
}

static volatile uint32_t from_user, calls;

static void on_nmi_in_either(x86::trap_frame& frame) {
    from_user = from_user + (user::is_from_user(frame) ? 1 : 0);
    on_nmi(frame);
}

static void on_system_call(x86::trap_frame& frame) {
    calls = calls + 1;
    frame.ax = 0;
    if (nmis < wanted)
        return;
    print("system calls ", calls > 0);
    print(", NMIs in ring 3 ", from_user > wanted / 2);
    print(", ");
    report();
}

static void before_each_return(x86::trap_frame&) {} // signals, rescheduling

static void on_refused(x86::trap_frame& frame, user::refusal) {
    panic("a frame that no task may have", frame.ip);
}

static void set_up_handlers() {
    trap::set_nmi_handler(on_nmi_in_either);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    user::set_syscall_handler(on_system_call);
    user::set_return_work(before_each_return);
    user::set_refused_return(on_refused);
    user::set_up_syscalls(code_selector);
}

[[noreturn]] static void enter_task(uintptr_t ip, uintptr_t sp) {
    const uintptr_t end = cpu.user.stack_top;
    auto& frame = *reinterpret_cast<user::user_frame*>(end - sizeof(user::user_frame));
    frame = {};
    frame.trap.ip = ip;
    frame.trap.cs = NMISAFE_USER_CODE_SELECTOR;
    frame.trap.flags = user::fixed_user_flags;
    frame.sp() = sp;
    frame.ss() = NMISAFE_USER_DATA_SELECTOR;
    user::enter(frame);
}

// The task: an NMI by the local APIC, which it may touch, then a system call; again and again.
asm(".pushsection .rodata\n"
    "task_code: movl $0xfee00300, %edi\n"
    "1: movl $0x4400, (%rdi)\n"
    "pause\n"
    "syscall\n"
    "jmp 1b\n"
    "task_code_end: .popsection\n");
extern "C" const char task_code[], task_code_end[];
extern "C" void* memcpy(void* to, const void* from, size_t size);

static uintptr_t map_task() {
    constexpr uintptr_t page = 768 << 20, apic = 0xfee00000;
    memcpy(reinterpret_cast<void*>(page), task_code,
           static_cast<size_t>(task_code_end - task_code));
    for (const uintptr_t address : {page, apic}) {
        directories[address >> large_page_shift] |= 4; // ring 3
        asm volatile("invlpg (%[page])" : : [page] "r"(address) : "memory");
    }
    return page;
}

extern "C" [[noreturn]] void kernel_main() {
    mask_interrupt_controllers();
    set_up_stacks();
    set_kernel_stack(reinterpret_cast<uintptr_t>(kernel_stack) + sizeof kernel_stack);
    set_up_gates();
    set_up_handlers();
    if (!keeps(step::policy))
        trap::set_return_policy(trap::return_policy::iret);
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what), found.vector);
    map_faulting_page(false);
    const uintptr_t page = map_task();
    enter_task(page, page + 0x10000);
}
#endif
