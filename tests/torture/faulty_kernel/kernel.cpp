// SPDX-License-Identifier: MIT
// Sets the descriptor tables and the system call up, and goes to user mode for ever: the user's loop (entry.S) takes each
// path again and again. The command `nmisafe torture` puts an NMI at each instruction of them.
#include "tests/torture/faulty_kernel/layout.h"

#include <stddef.h>
#include <stdint.h>

namespace {

struct [[gnu::packed]] gate {
    uint16_t low;
    uint16_t selector;
    uint8_t stack; // IST
    uint8_t type;
    uint16_t middle;
    uint32_t high;
    uint32_t reserved;
};

struct [[gnu::packed]] table_register {
    uint16_t limit;
    uint64_t base;
};

struct cpu {
    cpu* self;
    uint64_t kernel_sp, user_sp, in_nmi, nmis;
};
static_assert(offsetof(cpu, kernel_sp) == CPU_KERNEL_SP && offsetof(cpu, user_sp) == CPU_USER_SP);
static_assert(offsetof(cpu, in_nmi) == CPU_IN_NMI && offsetof(cpu, nmis) == CPU_NMIS);

} // namespace

extern "C" {
extern const char nmi_entry[], breakpoint_entry[], page_fault_entry[], software_entry[],
    double_fault_entry[], syscall_entry[], panic[];
extern char kernel_stack_end[], nmi_stack_end[];
extern uint64_t directories[1024];
[[noreturn]] void enter_user();

uint64_t gdt[7] = {0,
                   0x00af9b000000ffff,  // the kernel's code
                   0x00cf93000000ffff,  // and data
                   0x00cff3000000ffff,  // the user's data, before its code: SYSRET wants it so
                   0x00affb000000ffff}; // and code; the TSS comes behind
uint8_t task[104];
table_register idt_register;
cpu cpu_data = {&cpu_data, 0, 0, 0, 0};
cpu user_gs = {reinterpret_cast<cpu*>(NO_ADDRESS), 0, 0, 0, 0};
}

namespace {

gate idt[256];
alignas(16) char other_stacks[2][1024];

void out8(uint16_t port, char byte) {
    asm volatile("outb %[byte], %[port]" : : [byte] "a"(byte), [port] "Nd"(port));
}

void write_msr(uint32_t msr, uint64_t value) {
    asm volatile("wrmsr"
                 :
                 : "c"(msr), "a"(static_cast<uint32_t>(value)),
                   "d"(static_cast<uint32_t>(value >> 32)));
}

void set_gate(unsigned vector, const char* entry, uint8_t stack = 0, bool for_user = false) {
    const auto address = reinterpret_cast<uint64_t>(entry);
    idt[vector] = {static_cast<uint16_t>(address),
                   KERNEL_CODE,
                   stack,
                   static_cast<uint8_t>(for_user ? 0xee : 0x8e),
                   static_cast<uint16_t>(address >> 16),
                   static_cast<uint32_t>(address >> 32),
                   0};
}

void set_task_word(unsigned offset, const char* stack_end) {
    __builtin_memcpy(task + offset, &stack_end, sizeof stack_end);
}

#if defined FAULT_shared_ist
constexpr uint8_t software_stack = 1; // the NMI's
#else
constexpr uint8_t software_stack = 3;
#endif
#if defined FAULT_no_ist
constexpr uint8_t nmi_stack = 0;
#else
constexpr uint8_t nmi_stack = 1;
#endif

} // namespace

extern "C" [[noreturn]] void kernel_main() {
    for (unsigned vector = 0; vector < 256; ++vector)
        set_gate(vector, panic);
    set_gate(2, nmi_entry, nmi_stack);
    set_gate(3, breakpoint_entry, 0, true);
    set_gate(8, double_fault_entry, 2);
    set_gate(14, page_fault_entry);
    set_gate(0x80, software_entry, software_stack, true);
    set_task_word(TASK_RSP0, kernel_stack_end);
    set_task_word(TASK_IST1, nmi_stack_end);
    for (unsigned i = 0; i < 2; ++i)
        set_task_word(TASK_IST1 + 8 * (i + 1), other_stacks[i] + sizeof other_stacks[i]);
    const auto base = reinterpret_cast<uint64_t>(task);
    gdt[5] = 0x0000890000000000 | (sizeof task - 1) | (base & 0xffffff) << 16 | (base >> 24) << 56;
    asm volatile("ltr %w[selector]" : : [selector] "r"(TASK));
    idt_register = {sizeof idt - 1, reinterpret_cast<uint64_t>(idt)};
    asm volatile("lidt %[descriptors]" : : [descriptors] "m"(idt_register));

    cpu_data.kernel_sp = reinterpret_cast<uint64_t>(kernel_stack_end);
    write_msr(0xc0000081, uint64_t{KERNEL_DATA} << 48 | uint64_t{KERNEL_CODE} << 32); // IA32_STAR
    write_msr(0xc0000082, reinterpret_cast<uint64_t>(syscall_entry));                 // IA32_LSTAR
    write_msr(0xc0000084, 0x700);                                 // IA32_FMASK: TF, IF, DF
    write_msr(0xc0000101, reinterpret_cast<uint64_t>(&user_gs));  // IA32_GS_BASE
    write_msr(0xc0000102, reinterpret_cast<uint64_t>(&cpu_data)); // IA32_KERNEL_GS_BASE
    directories[NMI_PAGE >> 21] = PAGE_MEMORY | 0x86;             // present later
    directories[USER_PAGE >> 21] = (PAGE_MEMORY + 0x200000) | 0x86;
    asm volatile("movq %%cr3, %%rax\n\tmovq %%rax, %%cr3" : : : "rax", "memory");

    for (const char* text = "torture: ready loop\n"; *text != 0; ++text)
        out8(0xe9, *text);
    enter_user();
}
