// SPDX-License-Identifier: MIT
// A kernel with entries and frames of its own (entry.S), whose NMI handler runs into kprobes and takes a page fault while
// the next NMI waits. README.md says how to run it, and what WITHOUT_NMISAFE and NMI_OF_LIBRARY change.
#include "nmisafe_platform.hpp"

#include "nmisafe/context/count.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/port.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/vectors.h"
#ifdef NMI_OF_LIBRARY
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/trap/trap.hpp"
#endif

using namespace nmisafe;

extern "C" {
extern const char nmi_entry[], breakpoint_entry[], page_fault_entry[], breakpoint_shadowed[],
    page_fault_shadowed[];                                                  // entry.S
extern const char probe_loop[], probe_jump[], probe_call[], probe_return[]; // probed.S
extern const char probed_function[], probe_slots[];
extern uintptr_t directories[]; // boot.S
extern x86::segment_descriptor gdt[];
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

#ifdef __x86_64__
using gate = x86::gate_64;
constexpr unsigned large_page_shift = 21;
#else
using gate = x86::gate_32;
constexpr unsigned large_page_shift = 22;
#endif
constexpr uint16_t code_selector = 8;
constexpr uintptr_t faulting_page = 512 << 20; // nothing of the kernel's
constexpr uint32_t wanted = 1000;

gate idt[X86_VECTORS];
volatile uint32_t nmis, depth, hits, page_faults, held_off;

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
    directories[faulting_page >> large_page_shift] = faulting_page | 0x82 | (present ? 1 : 0);
    asm volatile("invlpg (%[page])" : : [page] "r"(faulting_page) : "memory");
}

/// The next NMI waits before the probes: an IRET from one of them, or from the page fault, would let it in.
[[gnu::noinline]] void on_nmi() {
    if (depth != 0)
        panic("an NMI in an NMI");
    depth = 1;
    nmis = nmis + 1;
    if (nmis < wanted)
        send_nmi_to_self();
    uint32_t result = nmis;
    asm volatile("call probed_function" : "+a"(result) : : "ecx", "memory", "cc");
    if (result != nmis + 16)
        panic("a probe has changed what the function does");
    *reinterpret_cast<volatile uint32_t*>(faulting_page) = nmis;
    map(false);
    depth = 0;
}

/// A probe's handler: the frame is this kernel's own.
void on_probe(kprobe::probe& which, frame& trapped) {
#ifdef __x86_64__
    const uintptr_t ax = trapped.rax;
#else
    const uintptr_t ax = trapped.eax;
#endif
    if (trapped.ip != which.address || trapped.what != X86_VECTOR_BP || !context::in_nmi())
        panic("a frame that is not this kernel's");
    if (which.address == reinterpret_cast<uintptr_t>(probe_return) && ax != nmis + 16)
        panic("AX is not in its place");
    hits = hits + 1;
}

kprobe::probe probes[4];

void set_up_probes() {
    const char* const places[] = {probe_loop, probe_jump, probe_call, probe_return};
    for (unsigned i = 0; i < 4; ++i) {
        probes[i].address = reinterpret_cast<uintptr_t>(places[i]);
        probes[i].function = reinterpret_cast<uintptr_t>(probed_function);
        probes[i].slot = reinterpret_cast<uintptr_t>(probe_slots) + i * kprobe::slot_size;
        probes[i].pre = on_probe;
        if (!kprobe::insert(probes[i]).has_value())
            panic("a probe is refused");
    }
}

gate make_gate(const char* entry) {
    const auto address = reinterpret_cast<uintptr_t>(entry);
#ifdef __x86_64__
    return x86::make_gate_64(address, code_selector, 0);
#else
    return x86::make_gate_32(address, code_selector, x86::gate_type::interrupt);
#endif
}

#ifdef NMI_OF_LIBRARY
// Partial gates: the NMI is the library's, with its latch, and its frame; the others are still this kernel's.

#ifdef __x86_64__
struct alignas(4096) {
    uint8_t stack[8192 - sizeof(trap::nmi_block)];
    trap::nmi_block block;
} nmi_stack;
alignas(16) uint8_t other_stacks[3][4096]; // #DB, #DF, #MC
constexpr uint16_t task_selector = 24;
#endif

bool is_one_waiting() {
#ifdef __x86_64__
    return nmi_stack.block.pending != 0;
#else
    return nmisafe_platform::cpu.nmi_pending != 0;
#endif
}

void on_library_nmi([[maybe_unused]] x86::trap_frame& interrupted) {
    on_nmi();
    if (is_one_waiting())
        held_off = held_off + 1; // an IRET has let it in
#ifndef WITHOUT_NMISAFE
    trap::leave_interrupt_shadow(interrupted, breakpoint_shadowed);
    trap::leave_interrupt_shadow(interrupted, page_fault_shadowed);
#endif
}

void set_up_nmi() {
    trap::set_nmi_handler(on_library_nmi);
#ifdef __x86_64__
    trap::set_up_nmi_block(nmi_stack.block, 0);
    for (unsigned i = 0; i < 3; ++i) // they grow down
        nmi_stack.block.tss.ist[1 + i] =
            reinterpret_cast<uintptr_t>(other_stacks[i]) + sizeof other_stacks[i];
    const auto task = reinterpret_cast<uintptr_t>(&nmi_stack.block.tss);
    gdt[task_selector / 8] =
        x86::make_segment(static_cast<uint32_t>(task), sizeof(x86::tss_64) - 1,
                          x86::segment_type::tss_32, x86::segment_width::system);
    x86::load_task_register(task_selector);
    const auto lead = [](uint8_t vector, uint8_t stack) {
        idt[vector] = x86::make_gate_64(trap::entry_address(vector), code_selector, stack);
    };
    lead(X86_VECTOR_NMI, trap::nmi_ist);
    lead(X86_VECTOR_DB, 2);
    lead(X86_VECTOR_DF, 3);
    lead(X86_VECTOR_MC, 4);
    const setup::finding found = setup::check_setup(1 << X86_VECTOR_BP | 1 << X86_VECTOR_PF);
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what));
#else
    trap::set_percpu_selector(16); // no per-CPU data here: any will do
    idt[X86_VECTOR_NMI] = x86::make_gate_32(trap::entry_address(X86_VECTOR_NMI), code_selector,
                                            x86::gate_type::interrupt);
#endif
}
#else
void set_up_nmi() {
    idt[X86_VECTOR_NMI] = make_gate(nmi_entry);
}
#endif

} // namespace

void panic(const char* what) {
    print(what);
    print("\n");
    stop(1);
}

/// No probe may stand on the way to the probes.
extern "C" [[NMISAFE_TRAP_TEXT]] void own_breakpoint(frame* trapped) {
    if (!text_patch::handle_breakpoint(*trapped) && !kprobe::handle_breakpoint(*trapped))
        panic("a breakpoint of nobody's");
}

extern "C" void own_page_fault(frame*) {
    if (x86::read_cr2() != faulting_page)
        panic("a page fault elsewhere");
    page_faults = page_faults + 1;
    map(true);
}

/// What the library's NMI would do for its handler. entry.S has seen to CR2 and DR7.
extern "C" [[NMISAFE_TRAP_TEXT]] void own_nmi(frame*) {
    x86::increment(nmisafe_platform::cpu.nmi_in_progress);
    context::nmi_enter();
    on_nmi();
    context::nmi_exit();
    x86::decrement(nmisafe_platform::cpu.nmi_in_progress);
}

extern "C" [[noreturn]] void kernel_main() {
    x86::out8(0x21, 0xff); // no interrupts: this kernel has no use for them
    x86::out8(0xa1, 0xff);
    idt[X86_VECTOR_BP] = make_gate(breakpoint_entry);
    idt[X86_VECTOR_PF] = make_gate(page_fault_entry);
    x86::load_idt({sizeof idt - 1, reinterpret_cast<uintptr_t>(idt)});
    set_up_nmi();
    set_up_probes();
    map(false);
    send_nmi_to_self();
    while (nmis < wanted)
        asm volatile("pause");
    print("NMIs ", nmis);
    print(", probe hits in them ", hits);
    print(", page faults ", page_faults);
    print(", NMIs in NMIs ", held_off);
    print("\n");
    stop(held_off == 0 ? 0 : 1);
}
