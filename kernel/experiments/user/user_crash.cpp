// SPDX-License-Identifier: MIT
// crash-task-double-fault: SYSCALL or SYSENTER leads to code that traps on a stack that is none, where nothing but
// CS is the kernel's yet. The #DF must find the CPU and stop the machine with one line.
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constexpr uintptr_t nowhere = 0x1000; // a stack that is not mapped
#ifdef __x86_64__
constexpr uint8_t system_call_code[] = {0x0f, 0x05};
#else
constexpr uint8_t system_call_code[] = {0x0f, 0x34};
#endif

/// The kernel's entry, of which no instruction has a stack.
void trap_at_once() {
    asm volatile("ud2");
}

} // namespace

void crash_task_double_fault() {
    set_user_scene(nullptr);
    task which = make_task(instructions(system_call_code));
    const auto entry = reinterpret_cast<uintptr_t>(trap_at_once);
#ifdef __x86_64__
    which.frame.trap.sp = nowhere;
    x86::write_msr(X86_MSR_LSTAR, entry);
#else
    x86::write_msr(X86_MSR_SYSENTER_ESP, nowhere);
    x86::write_msr(X86_MSR_SYSENTER_EIP, entry);
#endif
    run_task(which);
}

} // namespace kernel
