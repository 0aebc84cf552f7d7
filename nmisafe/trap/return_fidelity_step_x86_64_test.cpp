// SPDX-License-Identifier: MIT
// Stepped runs on x86-64: a child process under ptrace. The stacks are memory shared with the
// child, so the tracer overwrites them directly. Twin: return_fidelity_step_x86_32_test.cpp.
#include "nmisafe/trap/return_fidelity.hpp"

#if defined(__x86_64__)

#include "nmisafe/x86/flags.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nmisafe::trap::fidelity {

extern "C" {
extern const void* return_fidelity_sequence;
extern const unsigned char return_fidelity_traced[];
}

namespace {

constexpr unsigned char opcode_popf = 0x9d;
constexpr unsigned char opcode_sti = 0xfb;
constexpr unsigned most_boundaries = 64; // far more than any sequence has: it is lost
constexpr int no_ptrace = 2;             // exit status

[[noreturn]] void run_child(const sequence& tested, const run& prepared) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
        std::perror("ptrace");
        _exit(no_ptrace);
    }
    return_fidelity_sequence = tested.begin;
    return_fidelity_before = prepared.before;
    return_fidelity_after = {};
    return_fidelity_run(return_fidelity_traced);
    memory().stepped.after = return_fidelity_after;
    memory().stepped.landed = true;
    _exit(0);
}

enum class event { trapped, exited, died };

/// Waits for the child. Any signal but the steps' SIGTRAP ends it.
event wait_for(pid_t child) {
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return event::died;
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
        return event::trapped;
    if (WIFEXITED(status) && WEXITSTATUS(status) == no_ptrace) {
        std::fputs("this test needs ptrace\n", stderr);
        std::abort();
    }
    if (WIFEXITED(status))
        return event::exited;
    if (WIFSTOPPED(status)) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    return event::died;
}

/// Ends a child that is stopped.
void discard(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

void scribble_below(uintptr_t stack_pointer) {
    std::memset(reinterpret_cast<void*>(stack_pointer - scribbled_bytes), 0xa5, scribbled_bytes);
}

/// Stops before each instruction up to the landing. False when the child got lost; it is gone then.
bool step_through(pid_t child, const sequence& tested, bool scribble, stepped_run& seen) {
    const auto target = reinterpret_cast<uintptr_t>(return_fidelity_landing);
    bool inside = false;
    for (;;) {
        user_regs_struct registers{};
        ptrace(PTRACE_GETREGS, child, nullptr, &registers);
        if (registers.rip == target) {
            // Linux takes a TF that it sets after a stepped POPF for the program's own.
            registers.eflags &= ~uint64_t{X86_FLAGS_TF};
            ptrace(PTRACE_SETREGS, child, nullptr, &registers);
            return true;
        }
        const auto* instruction = reinterpret_cast<const unsigned char*>(registers.rip);
        inside = inside || instruction == tested.begin;
        if (inside) {
            // Neither in the sequence, whose code this process has too, nor at the target: lost.
            if (instruction < tested.begin || instruction >= tested.end ||
                ++seen.boundaries > most_boundaries) {
                discard(child);
                return false;
            }
            seen.last_seen = seen.last_seen || instruction == tested.last;
            if (scribble)
                scribble_below(registers.rsp);
            if (*instruction == opcode_popf)
                std::memcpy(&seen.popped_flags, reinterpret_cast<const void*>(registers.rsp),
                            sizeof seen.popped_flags);
            if (tested.sti && *instruction == opcode_sti) {
                seen.sti_directly_before = instruction + 1 == tested.last;
                registers.rip += 1;
                ptrace(PTRACE_SETREGS, child, nullptr, &registers);
                continue;
            }
        }
        ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
        if (wait_for(child) != event::trapped)
            return false;
    }
}

} // namespace

stepped_run run_stepped(const sequence& tested, const run& prepared, bool scribble) {
    memory().stepped = {};
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0)
        run_child(tested, prepared);
    stepped_run seen{};
    if (child < 0 || wait_for(child) != event::trapped)
        return seen;
    ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL);
    if (!step_through(child, tested, scribble, seen))
        return seen;
    ptrace(PTRACE_CONT, child, nullptr, nullptr); // the landing reads RFLAGS: no step there
    const event last = wait_for(child);
    if (last == event::trapped)
        discard(child);
    seen.landed = last == event::exited && memory().stepped.landed;
    seen.after = memory().stepped.after;
    return seen;
}

} // namespace nmisafe::trap::fidelity

#endif
