// SPDX-License-Identifier: MIT
// The return alone in ring 3: the documented listing decides as return_plan.hpp does, lands with the image's flags,
// and passes the self-test that embedders link in; the controls do not. What ring 3 may not execute (STI, debug and
// control registers) is stood in for by a signal handler.
#include "nmisafe/trap/return_check.h"
#include "nmisafe/trap/return_plan.hpp"

#include <csignal>
#include <cstdlib>
#include <doctest/doctest.h>
#include <iterator>
#include <ucontext.h>

extern "C" {
extern const unsigned char kernel_page_fault[], kernel_page_fault_shadowed[];
extern const unsigned char return_alone_control[], return_alone_without_dr7[];
extern unsigned return_alone_irets;
void kernel_on_page_fault(void*);
void return_alone_rewind(uintptr_t* frame);
}

void kernel_on_page_fault(void*) {}

namespace {

using namespace nmisafe::trap;

uintptr_t dr7, cr2;
unsigned interrupts_enabled; // STIs

#ifdef __x86_64__
constexpr int ip_register = REG_RIP, ax_register = REG_RAX;
#else
constexpr int ip_register = REG_EIP, ax_register = REG_EAX;
#endif

/// STI, and MOV between AX and CR2 or DR7.
void on_privileged(int, siginfo_t*, void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    auto& ip = registers[ip_register];
    auto& ax = registers[ax_register];
    const auto* code = reinterpret_cast<const unsigned char*>(static_cast<uintptr_t>(ip));
    if (code[0] == 0xfb) {
        ++interrupts_enabled;
        ip += 1;
        return;
    }
    if (code[0] != 0x0f || (code[1] & 0xfc) != 0x20 || (code[2] != 0xd0 && code[2] != 0xf8))
        std::abort();
    uintptr_t& value = code[2] == 0xd0 ? cr2 : dr7;
    if ((code[1] & 2) != 0)
        value = static_cast<uintptr_t>(ax);
    else
        ax = static_cast<greg_t>(value);
    ip += 3;
}

/// For each test case: doctest has handlers of its own there.
struct emulation {
    alignas(16) char stack[65536];
    emulation() {
        const stack_t other{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
        sigaltstack(&other, nullptr);
        struct sigaction action {};
        action.sa_sigaction = on_privileged;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(SIGSEGV, &action, nullptr);
        sigaction(SIGILL, &action, nullptr);
    }
};

uintptr_t address(const unsigned char* code) {
    return reinterpret_cast<uintptr_t>(code);
}

bool takes_iret(const unsigned char* entry, uintptr_t flags, uintptr_t cs) {
    const unsigned before = return_alone_irets;
    nmisafe_check_deliver(address(entry), 1, flags, cs);
    return return_alone_irets != before;
}

bool should_take_iret(uintptr_t flags, uintptr_t cs) {
    const auto current = static_cast<uint16_t>(nmisafe_check_code_segment());
    return !is_plain(flags, cs, current) ||
           ((flags & X86_FLAGS_RF) != 0 && instruction_breakpoint_armed(dr7));
}

constexpr uintptr_t some_debug_controls[] = {0,       0x400,      0x401,     0x10401,   0x402,
                                             0x30404, 0x300404,   0x408,     0x3000420, 0xf0f0410,
                                             0x480,   0x10000480, 0xfff0055, 0xffff00ff};

/// How often an entry decides otherwise than plan_return does.
unsigned count_differences(const unsigned char* entry, unsigned& runs) {
    const uintptr_t current = nmisafe_check_code_segment();
    const uintptr_t bits[] = {X86_FLAGS_TF, X86_FLAGS_NT, X86_FLAGS_VM, X86_FLAGS_RF, X86_FLAGS_IF,
                              X86_FLAGS_CF, 1u << 22,     1u << 31,     X86_FLAGS_DF};
    unsigned different = 0;
    for (const uintptr_t control : some_debug_controls)
        for (const uintptr_t cs : {current, current ^ 3, current ^ 8, uintptr_t{0}})
            for (unsigned set = 0; set < 1u << std::size(bits); ++set)
                for (const uintptr_t fixed : {uintptr_t{X86_FLAGS_FIXED}, uintptr_t{0}}) {
                    uintptr_t flags = fixed;
                    for (size_t bit = 0; bit < std::size(bits); ++bit)
                        flags |= (set >> bit & 1) != 0 ? bits[bit] : 0;
                    dr7 = control;
                    different += takes_iret(entry, flags, cs) != should_take_iret(flags, cs);
                    ++runs;
                }
    return different;
}

// A CPU's NMIs, and a kernel that has the return alone.
nmisafe_return_check check;
bool blocked, pending, keeps_registers, iret_at_end;
unsigned irets_seen;

void on_nmi();

void let_in() {
    if (pending && !blocked) {
        pending = false;
        on_nmi();
    }
}

void on_nmi() {
    blocked = true;
    const uintptr_t cr2_before = cr2, dr7_before = dr7;
    if (keeps_registers)
        dr7 = X86_DR7_DISARMED;
    nmisafe_return_check_in_nmi(&check);
    if (keeps_registers) {
        cr2 = cr2_before;
        dr7 = dr7_before;
    }
    if (iret_at_end)
        blocked = false;
    let_in();
}

unsigned run_check(const unsigned char* entry, bool registers = true, bool iret = true) {
    check = {};
    check.entry = address(entry);
    check.has_error_code = 1;
    check.raise_nmi = [] { pending = true; };
    // Here the NMI comes, if an IRET has been taken meanwhile or none is in progress.
    check.wait = [] {
        if (return_alone_irets != irets_seen)
            blocked = false;
        irets_seen = return_alone_irets;
        let_in();
    };
    blocked = pending = false;
    irets_seen = return_alone_irets;
    keeps_registers = registers;
    iret_at_end = iret;
    dr7 = X86_DR7_DISARMED;
    cr2 = 0;
    return nmisafe_return_check_run(&check);
}

} // namespace

TEST_CASE("the documented entry decides as plan_return does") {
    const emulation emulated;
    unsigned runs = 0;
    CHECK(count_differences(kernel_page_fault, runs) == 0);
    CHECK(runs == std::size(some_debug_controls) * 4 * 512 * 2);
    CHECK(count_differences(return_alone_control, runs) > 0);
    CHECK(count_differences(return_alone_without_dr7, runs) > 0);
}

TEST_CASE("a plain image comes back with its flags, and interrupts by STI") {
    const emulation emulated;
    dr7 = 0;
    const uintptr_t cs = nmisafe_check_code_segment();
    constexpr uintptr_t arithmetic = 0xcd5; // CF, PF, AF, ZF, SF, DF, OF
    for (uintptr_t flags = 0; flags <= arithmetic; ++flags) {
        if ((flags & ~arithmetic) != 0)
            continue;
        const unsigned before = interrupts_enabled;
        const uintptr_t landed =
            nmisafe_check_deliver(address(kernel_page_fault), 1, flags | X86_FLAGS_FIXED, cs);
        CHECK((landed & arithmetic) == flags);
        CHECK(interrupts_enabled == before);
        nmisafe_check_deliver(address(kernel_page_fault), 1, flags | X86_FLAGS_FIXED | X86_FLAGS_IF,
                              cs);
        CHECK(interrupts_enabled == before + 1);
    }
}

TEST_CASE("an NMI in the shadow of the STI goes back to it") {
    const emulation emulated;
    CHECK(kernel_page_fault_shadowed[-1] == 0xfb);
    const uintptr_t shadowed = address(kernel_page_fault_shadowed);
    uintptr_t frame[5] = {shadowed, 0x10, X86_FLAGS_FIXED | X86_FLAGS_IF, 0, 0};
    uintptr_t below[64 + 5] = {}; // room for what the macro pushes
    const auto rewound = [&](uintptr_t ip, uintptr_t cs) {
        frame[0] = ip, frame[1] = cs, frame[2] = X86_FLAGS_FIXED | X86_FLAGS_IF;
        for (size_t word = 0; word < 5; ++word)
            below[64 + word] = frame[word];
        return_alone_rewind(below + 64);
        return below[64] == ip - 1 && below[66] == X86_FLAGS_FIXED;
    };
    CHECK(rewound(shadowed, 0x10));
    CHECK_FALSE(rewound(shadowed + 1, 0x10));
    CHECK_FALSE(rewound(shadowed, 0x13)); // user mode
}

TEST_CASE("the self-test finds what each duty is for") {
    const emulation emulated;
    CHECK(run_check(kernel_page_fault) == 0);
    CHECK(check.handled == 3);
    CHECK(run_check(return_alone_control) == NMISAFE_CHECK_NESTED_RF);
    CHECK(run_check(kernel_page_fault, false) ==
          (NMISAFE_CHECK_BREAKPOINTS | NMISAFE_CHECK_CR2 | NMISAFE_CHECK_DR7));
    CHECK(run_check(kernel_page_fault, true, false) == NMISAFE_CHECK_STAYS_BLOCKED);
}
