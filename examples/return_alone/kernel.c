// SPDX-License-Identifier: MIT
// A C kernel with its own entries (entry.S), whose NMI handler hits a breakpoint and takes a page fault while the next
// NMI waits. README.md says how to run it, and what is seen without nmisafe or with a duty left out.
#include "nmisafe/trap/return_check.h"

#include <stdint.h>

/// What entry.S leaves on the stack.
struct frame {
#ifdef __x86_64__
    uintptr_t r11, r10, r9, r8, rdi, rsi, rbx, rdx, rcx, rax;
#else
    uintptr_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
#endif
    uintptr_t error_code, ip, cs, flags; // on x86-64 then RSP and SS
};

extern const char debug_entry[], nmi_entry[], breakpoint_entry[], page_fault_entry[];
extern const char breakpoint_shadowed[], page_fault_shadowed[];
extern uintptr_t directories[]; // boot.S

enum { code_selector = 8, interrupt_gate = 0x8e00, trap_gate = 0x8f00, vectors = 32 };
#ifdef __x86_64__
enum { large_page_shift = 21 };
#else
enum { large_page_shift = 22 };
#endif
static const uintptr_t faulting_page = 512u << 20; // nothing of the kernel's
static const uint32_t wanted = 1000;
#ifdef FOREVER
enum { sends_nmis = 0 };
#else
enum { sends_nmis = 1 };
#endif

/// A gate of either width: on x86-64 two words more.
struct gate {
    uint16_t ip_low, selector, type, ip_middle;
#ifdef __x86_64__
    uint32_t ip_high, reserved;
#endif
};
static struct gate idt[vectors];

static volatile uint32_t sent, nmis, nested, breakpoints, page_faults, depth;

static void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char* text) {
    for (; *text != 0; ++text)
        out8(0xe9, (uint8_t)*text);
}

static void print_number(const char* text, uint32_t number) {
    char digits[11] = {0};
    unsigned at = 10;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    print(text);
    print(digits + at);
}

/// QEMU's isa-debug-exit.
__attribute__((noreturn)) static void stop(uint8_t code) {
    out8(0xf4, code);
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

static void send_nmi_to_self(void) {
    *(volatile uint32_t*)0xfee00310 = 0;      // the local APIC's ICR: to CPU 0,
    *(volatile uint32_t*)0xfee00300 = 0x4400; // an NMI
}

static void send_wanted_nmi(void) {
    if (sends_nmis && sent < wanted) {
        sent = sent + 1;
        send_nmi_to_self();
    }
}

static void map(uintptr_t present) {
    directories[faulting_page >> large_page_shift] = faulting_page | 0x82 | present;
    __asm__ volatile("invlpg (%0)" : : "r"(faulting_page) : "memory");
}

static struct nmisafe_return_check check;
static int checking;
static const char* checked_name;

static void stop_if_wrong(unsigned wrong) {
    if (wrong == 0)
        return;
    for (; wrong != 0; wrong &= wrong - 1) {
        print(checked_name);
        print(": ");
        print(nmisafe_return_check_describe(wrong));
        print("\n");
    }
    stop(1);
}

void on_breakpoint(struct frame* frame) {
    (void)frame;
    if (!checking)
        breakpoints = breakpoints + 1;
}

void on_page_fault(struct frame* frame) {
    uintptr_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    if (checking)
        return; // a frame made by hand
    if (address != faulting_page) {
        print_number("page fault at IP ", (uint32_t)frame->ip);
        stop(1);
    }
    page_faults = page_faults + 1;
    map(1);
}

void on_debug(struct frame* frame) {
    (void)frame; // a debugger's
}

void on_nmi(struct frame* frame) {
    (void)frame;
    if (checking) {
        stop_if_wrong(nmisafe_return_check_in_nmi(&check)); // this NMI's frame may be gone
        return;
    }
    if (depth != 0) {
        nested = nested + 1; // what this is all about
        return;
    }
    depth = 1;
    nmis = nmis + 1;
    send_wanted_nmi(); // waits, or should, until this handler has returned by IRET
    __asm__ volatile("int3");
    map(0);
    *(volatile uint32_t*)faulting_page = nmis;
    depth = 0;
}

/// For who raises NMIs from outside, as `nmisafe torture` does.
__attribute__((noreturn)) static void go_round(void) {
    *(volatile uint32_t*)faulting_page = 0; // CR2 is the same in each round
    print("going round\n");
    for (;;) {
        map(0);
        __asm__ volatile("int3");
        *(volatile uint32_t*)faulting_page = 0;
    }
}

static void set_gate(unsigned vector, const char* entry, uint16_t type) {
    const uintptr_t ip = (uintptr_t)entry;
    struct gate* gate = &idt[vector];
    gate->ip_low = (uint16_t)ip;
    gate->selector = code_selector;
    gate->type = type;
    gate->ip_middle = (uint16_t)(ip >> 16);
#ifdef __x86_64__
    gate->ip_high = (uint32_t)(ip >> 32);
#endif
}

#ifdef IST
extern uint64_t gdt[]; // boot.S
enum { task_selector = 24 };

/// As most kernels of x86-64 have it: each NMI begins at the same address, an NMI in an NMI over the first one's frame.
static void set_up_nmi_stack(void) {
    static uint8_t stack[8192] __attribute__((aligned(16)));
    static uint32_t task[26]; // what LTR makes known; IST 1 is at 36
    const uintptr_t end = (uintptr_t)(stack + sizeof stack), base = (uintptr_t)task;
    task[9] = (uint32_t)end;
    task[10] = (uint32_t)(end >> 32);
    gdt[task_selector / 8] = 0x0000890000000000 | (sizeof task - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[task_selector / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(task_selector) : "memory");
    idt[2].type |= 1;
}
#endif

static void set_up_exceptions(void) {
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } pointer = {sizeof idt - 1, (uintptr_t)idt};
    set_gate(1, debug_entry, interrupt_gate);
    set_gate(2, nmi_entry, interrupt_gate);
#ifdef LEFT_OUT_GATE
    set_gate(3, breakpoint_entry, trap_gate);
#else
    set_gate(3, breakpoint_entry, interrupt_gate);
#endif
    set_gate(14, page_fault_entry, interrupt_gate);
#ifdef IST
    set_up_nmi_stack();
#endif
#ifdef LEFT_OUT_STACK
    idt[14].type |= 1; // an IST stack
#endif
    __asm__ volatile("lidt %0" : : "m"(pointer));
    out8(0x21, 0xff); // no interrupts: this kernel has no use for them
    out8(0xa1, 0xff);
}

#if !defined(WITHOUT_NMISAFE) && !defined(UNCHECKED)
static void wait(void) {
    for (unsigned i = 0; i < 5000; ++i)
        __asm__ volatile("pause");
}

/// Whether entry.S keeps what nmisafe/trap/RETURN_ALONE.md lists.
static void check_return(const char* name, const char* entry, const char* shadowed, int has_error_code) {
    checked_name = name;
    check = (struct nmisafe_return_check){.raise_nmi = send_nmi_to_self, .wait = wait,
                                          .entry = (uintptr_t)entry, .has_error_code = has_error_code,
                                          .nmi_entry = (uintptr_t)nmi_entry, .shadowed = (uintptr_t)shadowed};
    checking = 1;
    stop_if_wrong(nmisafe_return_check_run(&check));
    checking = 0;
    checked_name = "#DB";
    if (!nmisafe_check_leaves_shadow((uintptr_t)debug_entry, (uintptr_t)shadowed))
        stop_if_wrong(NMISAFE_CHECK_SHADOW);
}
#endif

void kernel_main(void) {
    set_up_exceptions();
#if !defined(WITHOUT_NMISAFE) && !defined(UNCHECKED)
    check_return("#BP", breakpoint_entry, breakpoint_shadowed, 0);
    check_return("#PF", page_fault_entry, page_fault_shadowed, 1);
#endif
    map(0);
    if (!sends_nmis)
        go_round();
    while (nmis + nested < wanted) {
        if (nmis + nested == sent)
            send_wanted_nmi();
        __asm__ volatile("pause");
    }
    print_number("NMIs ", nmis + nested);
    print_number(", in NMIs ", nested);
    print_number(", breakpoints ", breakpoints);
    print_number(", page faults ", page_faults);
    print("\n");
    stop(nested == 0 ? 0 : 1);
}
