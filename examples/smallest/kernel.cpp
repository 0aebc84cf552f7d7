// SPDX-License-Identifier: MIT
// A whole kernel for x86-64, whose NMI handler hits a breakpoint and takes a page fault while the next NMI waits.
// README.md says how to run it, and what WITHOUT_NMISAFE shows.
#include "nmisafe_platform.hpp"

#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/port.hpp"
#include "nmisafe/x86/registers.hpp"

using namespace nmisafe;

extern "C" {
extern uint64_t directories[2048];                             // boot.S
uint64_t gdt[5] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff}; // code, data; the TSS comes behind
void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}
void* memset(void* to, int value, size_t size) {
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}
}

namespace {

constexpr uint16_t code_selector = 8, task_selector = 24;
constexpr uintptr_t faulting_page = 512 << 20; // nothing of the kernel's
constexpr uint32_t wanted = 1000;
#ifdef FOREVER
constexpr bool sends_nmis = false;
#else
constexpr bool sends_nmis = true;
#endif

x86::gate_64 idt[X86_VECTORS];
alignas(4096) uint8_t nmi_stack[2 * 4096];
alignas(16) uint8_t other_stacks[4][4096];
volatile uint32_t nmis, depth, breakpoints, page_faults;

void print(const char* text) {
    for (; *text != 0; ++text)
        x86::out8(0xe9, static_cast<uint8_t>(*text));
}

void print(const char* text, uint32_t number) {
    char digits[11] = {};
    unsigned at = 10;
    do
        digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    print(text);
    print(digits + at);
}

/// QEMU's isa-debug-exit.
[[noreturn]] void stop(uint8_t code) {
    x86::out8(0xf4, code);
    for (;;)
        asm volatile("cli\n\thlt");
}

void send_nmi_to_self() {
    *reinterpret_cast<volatile uint32_t*>(0xfee00310) = 0;      // the local APIC's ICR: to CPU 0,
    *reinterpret_cast<volatile uint32_t*>(0xfee00300) = 0x4400; // an NMI
}

void map(bool present) {
    directories[faulting_page >> 21] = faulting_page | 0x82 | (present ? 1 : 0);
    asm volatile("invlpg (%[page])" : : [page] "r"(faulting_page) : "memory");
}

/// The next NMI waits before the breakpoint: an IRET from there, or from the page fault, would let it in.
void on_nmi(x86::trap_frame&) {
    if (depth != 0)
        panic("an NMI in an NMI");
    depth = 1;
    nmis = nmis + 1;
    if (sends_nmis && nmis < wanted)
        send_nmi_to_self();
    asm volatile("int3");
    map(false);
    *reinterpret_cast<volatile uint32_t*>(faulting_page) = nmis;
    depth = 0;
}

bool on_breakpoint(x86::trap_frame&) {
    breakpoints = breakpoints + 1;
    return true;
}

bool on_page_fault(x86::trap_frame&, uintptr_t address) {
    if (address != faulting_page)
        return false;
    page_faults = page_faults + 1;
    map(true);
    return true;
}

/// For who raises NMIs from outside, as `nmisafe torture` does.
[[noreturn]] void go_round() {
    *reinterpret_cast<volatile uint32_t*>(faulting_page) = 0; // CR2 is the same in each round
    print("going round\n");
    for (;;) {
        map(false);
        asm volatile("int3");
        *reinterpret_cast<volatile uint32_t*>(faulting_page) = 0;
    }
}

void set_up_traps() {
    auto& block = *reinterpret_cast<trap::nmi_block*>(nmi_stack + sizeof nmi_stack - 4096 + 2048);
    trap::set_up_nmi_block(block, 0);
    for (unsigned i = 0; i < 3; ++i)
        block.tss.ist[1 + i] = reinterpret_cast<uintptr_t>(other_stacks[i + 1]); // they grow down
    const auto task = reinterpret_cast<uintptr_t>(&block.tss);
    gdt[3] = x86::make_segment(static_cast<uint32_t>(task), sizeof block.tss - 1,
                               x86::segment_type::tss_32, x86::segment_width::system)
                 .bits;
    x86::load_task_register(task_selector);
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector) {
        const uint8_t stack = vector == X86_VECTOR_NMI  ? trap::nmi_ist
                              : vector == X86_VECTOR_DB ? 2
                              : vector == X86_VECTOR_DF ? 3
                              : vector == X86_VECTOR_MC ? 4
                                                        : 0;
        idt[vector] = x86::make_gate_64(trap::entry_address(static_cast<uint8_t>(vector)),
                                        code_selector, stack);
    }
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
    trap::set_nmi_handler(on_nmi);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_page_fault_handler(on_page_fault);
}

#ifdef WITHOUT_NMISAFE
// What most kernels do: the same handlers, and IRET (plain_entries.S).
extern "C" void plain_nmi(x86::trap_frame* frame) {
    on_nmi(*frame);
}
extern "C" void plain_breakpoint(x86::trap_frame* frame) {
    on_breakpoint(*frame);
}
extern "C" void plain_page_fault(x86::trap_frame* frame) {
    on_page_fault(*frame, x86::read_cr2());
}
extern "C" const char plain_nmi_entry[], plain_breakpoint_entry[], plain_page_fault_entry[];

void use_plain_entries() {
    const auto gate = [](const char* entry, uint8_t stack) {
        return x86::make_gate_64(reinterpret_cast<uintptr_t>(entry), code_selector, stack);
    };
    idt[X86_VECTOR_NMI] = gate(plain_nmi_entry, trap::nmi_ist);
    idt[X86_VECTOR_BP] = gate(plain_breakpoint_entry, 0);
    idt[X86_VECTOR_PF] = gate(plain_page_fault_entry, 0);
}
#endif

} // namespace

void panic(const char* what) {
    print(what);
    print("\n");
    stop(1);
}

extern "C" [[noreturn]] void kernel_main() {
    set_up_traps();
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what));
#ifdef WITHOUT_NMISAFE
    use_plain_entries();
#endif
    map(false);
    if (!sends_nmis)
        go_round();
    send_nmi_to_self();
    while (nmis < wanted)
        asm volatile("pause");
    print("NMIs ", nmis);
    print(", breakpoints in them ", breakpoints);
    print(", page faults ", page_faults);
    print(", NMIs in NMIs 0\n");
    stop(0);
}
