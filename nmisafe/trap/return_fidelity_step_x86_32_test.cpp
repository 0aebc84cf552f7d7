// SPDX-License-Identifier: MIT
// Stepped runs on x86-32: TF and a SIGTRAP handler on its own stack, because the program runs under
// QEMU's user emulation, which has no ptrace. Twin: return_fidelity_step_x86_64_test.cpp.
#include "nmisafe/trap/return_fidelity.hpp"

#if defined(__i386__)

#include "nmisafe/x86/flags.h"

#include <csetjmp>
#include <csignal>
#include <ucontext.h>
#include <unistd.h>

namespace nmisafe::trap::fidelity {

namespace {

constexpr unsigned char opcode_popf = 0x9d;
constexpr unsigned char opcode_sti = 0xfb;
constexpr unsigned most_boundaries = 64; // far more than any sequence has: it is lost

const sequence* stepped_sequence; // null when no run is under way
bool scribbling;
bool inside;
sigjmp_buf lost;
alignas(16) unsigned char signal_stack[65536];

void scribble_below(uintptr_t stack_pointer) {
    volatile unsigned char* const top = reinterpret_cast<unsigned char*>(stack_pointer);
    for (size_t i = 1; i <= scribbled_bytes; ++i)
        *(top - i) = 0xa5;
}

/// Gives up a run from a signal handler. The flags are those of the sequence: DF, AC and NT must
/// go.
[[noreturn]] void give_up() {
    asm volatile("pushl %[flags]\n\tpopfl" : : [flags] "i"(X86_FLAGS_FIXED) : "cc", "memory");
    siglongjmp(lost, 1);
}

void on_crash(int) {
    if (stepped_sequence == nullptr)
        _exit(3); // not a run's crash
    give_up();
}

void on_trap(int, siginfo_t*, void* context) {
    asm volatile("cld"); // the emulated delivery keeps DF; code here expects DF=0
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto* instruction = reinterpret_cast<const unsigned char*>(registers[REG_EIP]);
    const auto stack_pointer = static_cast<uintptr_t>(registers[REG_ESP]);
    const sequence& tested = *stepped_sequence;
    stepped_run& seen = memory().stepped;
    if (instruction == return_fidelity_landing) {
        registers[REG_EFL] &= ~X86_FLAGS_TF;
        return;
    }
    registers[REG_EFL] |= X86_FLAGS_TF; // an image has TF=0, so POPF ends the stepping
    inside = inside || instruction == tested.begin;
    if (!inside)
        return;
    if (instruction < tested.begin || instruction >= tested.end ||
        ++seen.boundaries >= most_boundaries)
        give_up();
    seen.last_seen = seen.last_seen || instruction == tested.last;
    if (scribbling)
        scribble_below(stack_pointer);
    if (*instruction == opcode_popf)
        seen.popped_flags = *reinterpret_cast<const uintptr_t*>(stack_pointer);
    if (tested.sti && *instruction == opcode_sti) {
        // Skipping it leads to the last instruction, whose own trap is then one too late: count it.
        seen.sti_directly_before = instruction + 1 == tested.last;
        seen.last_seen = seen.last_seen || seen.sti_directly_before;
        seen.boundaries += 1;
        registers[REG_EIP] += 1;
    }
}

void handle_signals() {
    stack_t stack{};
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    action.sa_sigaction = on_trap;
    sigaction(SIGTRAP, &action, nullptr);
    action.sa_flags = SA_ONSTACK;
    action.sa_handler = on_crash;
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE})
        sigaction(signal, &action, nullptr);
}

} // namespace

stepped_run run_stepped(const sequence& tested, const run& prepared, bool scribble) {
    memory().stepped = {};
    handle_signals();
    inside = false;
    scribbling = scribble;
    stepped_sequence = &tested;
    if (sigsetjmp(lost, 1) == 0) {
        return_fidelity_before = prepared.before;
        return_fidelity_before.word[STATE_FLAGS] |= X86_FLAGS_TF;
        return_fidelity_after = {};
        return_fidelity_run(tested.begin);
        memory().stepped.after = return_fidelity_after;
        memory().stepped.landed = true;
    }
    stepped_sequence = nullptr;
    return memory().stepped;
}

} // namespace nmisafe::trap::fidelity

#endif
