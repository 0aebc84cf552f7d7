// SPDX-License-Identifier: MIT
// x86-32: user-attacks, as user_attacks.cpp: what a hostile task tries, by name.
//
//   step           a single step over SYSENTER, which leaves TF: #DB as the first event in the kernel, with
//                  the task's GS; the kernel is not stepped, the task is
//   lost-segment   a selector whose descriptor is gone when #DB in ring 0 puts it back: it becomes null
//   mov-ss         MOV SS under a watchpoint before SYSENTER (CVE-2018-8897); before INT3 and INT 0x80 too, but no
//                  emulator here delivers the #DB of these two in the kernel
//   at-entry       what these two lead to: a #DB before the first instruction of their entries
//   nested-task    SYSENTER with NT: an IRET of the kernel would switch tasks
//   bad-return     an image whose CS makes IRET fault (CVE-2015-5157)
//   bad-segment    one whose DS, ES, FS or GS cannot be loaded
//   bad-nmi-return the same when an NMI returns to the task; NMIs are unblocked all the same
//   nmi-stack      an NMI where the task's stack segment is one of 16 bits: no return takes it (CVE-2015-3290)
//   virtual-8086   an IRET in ring 3 that turns on virtual-8086 mode, where the emulator lets it; flags of all 1,
//                  which it may push, in a frame of the task's that is none of that mode
//   far-away       SYSEXIT to an address that is the kernel's, on a stack that is. It needs no defence but the pages'
//                  own bits: SYSEXIT looks at no address, and the fault is the task's. x86-64: canonical
//   refused        images of ring 0, with another stack segment (CVE-2015-3290), without IF, with IOPL or VM
#ifdef __i386__
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_attacks_shared.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint8_t sysenter_code[] = {0x0f, 0x34, 0x90};
constexpr uintptr_t returns_to = user_code + 2;

uint32_t steps_in_kernel;

bool note_step(trap_frame& frame) {
    if (handle_user_exception(frame))
        return true;
    static_cast<void>(expect_own_gs("GS in #DB"));
    ++steps_in_kernel;
    return true;
}

task make_sysenter_task(uintptr_t more_flags) {
    task made = make_task(instructions(sysenter_code));
    made.frame.trap.ax = attack_call;
    made.frame.trap.dx = returns_to;
    made.frame.trap.cx = made.frame.sp();
    made.frame.trap.flags |= more_flags;
    return made;
}

void expect_vector(const task& ended, uintptr_t vector, uintptr_t ip) {
    if (ended.end != task_end::faulted || ended.vector != vector)
        fail("the vector that ended the task", vector, ended.vector);
    if (ended.frame.trap.ip != ip)
        fail("where the task ended", ip, ended.frame.trap.ip);
    ++scene.count.boundaries;
}

void step() {
    set_attack_scene();
    trap::set_handler(X86_VECTOR_DB, note_step);
    steps_in_kernel = 0;
    task which = make_sysenter_task(X86_FLAGS_TF);
    give_decoy(which);
    if (run_task_guarded(which))
        expect_vector(which, X86_VECTOR_DB, returns_to + 1);
    if (steps_in_kernel != 1)
        fail("steps in the kernel", 1, steps_in_kernel);
}

constexpr uint32_t spare_selector = KERNEL_USER_STACK_16_SELECTOR; // flat, as all of them

bool lose_descriptor(trap_frame& frame) {
    this_cpu().gdt[spare_selector / 8] = {};
    return note_step(frame);
}

void lost_segment() {
    constexpr uint32_t user::user_frame::*segments[] = {
        &user::user_frame::ds, &user::user_frame::es, &user::user_frame::fs, &user::user_frame::gs};
    set_attack_scene();
    trap::set_handler(X86_VECTOR_DB, lose_descriptor);
    for (const auto segment : segments) {
        const auto descriptor = this_cpu().gdt[spare_selector / 8];
        steps_in_kernel = 0;
        task which = make_sysenter_task(X86_FLAGS_TF);
        which.frame.gs = which.frame.fs = KERNEL_USER_DATA_SELECTOR;
        which.frame.*segment = spare_selector;
        if (run_task_guarded(which))
            expect_vector(which, X86_VECTOR_DB, returns_to + 1);
        this_cpu().gdt[spare_selector / 8] = descriptor;
        if (steps_in_kernel != 1)
            fail("steps in the kernel", 1, steps_in_kernel);
        if (which.frame.*segment != 0)
            fail("a selector without a descriptor", 0, which.frame.*segment);
    }
}

/// The task loads the segment itself; the NMI is the first event after that.
void nmi_stack() {
    // mov %ebx, %ss; mov %esi, (%edi): the local APIC's command; a jump, behind which QEMU looks
    // for NMIs
    constexpr uint8_t code[] = {0x8e, 0xd3, 0x89, 0x37, 0xeb, 0x00, 0x90};
    set_attack_scene();
    task which = make_task(instructions(code));
    aim_nmi_at_self(which);
    which.frame.trap.bx = KERNEL_USER_STACK_16_SELECTOR;
    static_cast<void>(run_task_guarded(which));
    if (which.end != task_end::refused ||
        which.value != static_cast<uintptr_t>(user::refusal::stack_segment))
        fail("how the task ended", static_cast<uintptr_t>(task_end::refused),
             static_cast<uintptr_t>(which.end));
    expect_next_nmi();
    ++scene.count.boundaries;
}

void nested_task() {
    set_attack_scene();
    // By IRET: a frame that SYSEXIT cannot return to.
    task which = make_sysenter_task(X86_FLAGS_NT);
    which.on_system_call = [](task&, trap_frame& frame) { frame.cx = 0; };
    if (run_task_guarded(which))
        expect_vector(which, X86_VECTOR_UD, user_code + sizeof(sysenter_code));
}

constexpr uint32_t no_selector = 0x7f3; // beyond the GDT

/// Runs a task that begins with an image which cannot be loaded; the rest of the image is as it
/// was.
template <typename Change>
void expect_image_fault(uintptr_t error, Change change) {
    task begun = make_task(instructions(sysenter_code));
    change(begun.frame);
    task which = begun;
    if (!run_task_guarded(which))
        return;
    // What cannot be loaded is gone, or the task's handler could not go on either.
    user::user_frame& all = which.frame;
    for (const uint32_t selector : {all.ds, all.es, all.fs, all.gs})
        if (selector == no_selector)
            fail("a selector that cannot be loaded", 0, selector);
    expect_vector(which, X86_VECTOR_GP, begun.frame.trap.ip);
    if (which.error != error)
        fail("the error code", error, which.error);
    if (which.frame.trap.bx != begun.frame.trap.bx || which.frame.trap.bp != begun.frame.trap.bp ||
        which.frame.trap.ax != begun.frame.trap.ax || which.frame.user_sp != begun.frame.user_sp)
        fail("a register of the task", begun.frame.user_sp, which.frame.user_sp);
}

void bad_return() {
    set_attack_scene();
    expect_image_fault(KERNEL_DATA_SELECTOR,
                       [](user::user_frame& frame) { frame.trap.cs = KERNEL_DATA_SELECTOR | 3; });
    expect_image_fault(0x7f0, [](user::user_frame& frame) { frame.trap.cs = 0x7f3; });
    expect_image_fault(0, [](user::user_frame& frame) { frame.trap.cs = 3; });
}

void bad_segment() {
    set_attack_scene();
    expect_image_fault(no_selector & ~3U, [](user::user_frame& frame) { frame.ds = no_selector; });
    expect_image_fault(no_selector & ~3U, [](user::user_frame& frame) { frame.es = no_selector; });
    expect_image_fault(no_selector & ~3U, [](user::user_frame& frame) { frame.fs = no_selector; });
    expect_image_fault(no_selector & ~3U, [](user::user_frame& frame) { frame.gs = no_selector; });
}

/// As QEMU 7.2 may push it, for an exception of the task's: flags that are all 1, in a frame that is none of
/// virtual-8086 mode. In place of the system call's frame.
[[noreturn]] void push_flags_of_ones(task&, trap_frame& frame) {
    user::user_frame& all = user::user_frame_of(frame);
    const uintptr_t image[] = {frame.ip, frame.cs, ~uintptr_t{0}, all.sp(), all.ss()};
    asm volatile("mov %[top], %%esp\n\t"
                 "pushl 16(%[image])\n\t"
                 "pushl 12(%[image])\n\t"
                 "pushl 8(%[image])\n\t"
                 "pushl 4(%[image])\n\t"
                 "pushl (%[image])\n\t"
                 "jmp *%[entry]"
                 :
                 : [top] "r"(thread_user_stack_top()), [image] "r"(image),
                   [entry] "r"(user::entry_address(X86_VECTOR_UD))
                 : "memory");
    __builtin_unreachable();
}

void flags_of_ones() {
    task which = make_sysenter_task(0);
    which.on_system_call = push_flags_of_ones;
    const uintptr_t sp = which.frame.user_sp;
    if (run_task_guarded(which))
        expect_vector(which, X86_VECTOR_GP, returns_to);
    if (which.frame.user_sp != sp)
        fail("the task's stack pointer", sp, which.frame.user_sp);
    if (which.frame.trap.cs != KERNEL_USER_CODE_SELECTOR)
        fail("the task's CS", KERNEL_USER_CODE_SELECTOR, which.frame.trap.cs);
    ++scene.count.boundaries;
}

/// Where the mode is entered the same image goes on in the decoy's page: at 16 times CS, and the
/// lower half of EIP.
void virtual_8086() {
    set_attack_scene();
    constexpr uint8_t code[] = {0xcf}; // iret
    constexpr uint8_t ud2[] = {0x0f, 0x0b};
    constexpr uintptr_t goes_on = user_code + sizeof(code);
    constexpr uint32_t unmapped = 0x3000;
    task which = make_task(instructions(code));
    const uint32_t image[] = {goes_on,
                              KERNEL_USER_CODE_SELECTOR,
                              user::fixed_user_flags | X86_FLAGS_VM,
                              unmapped,
                              unmapped,
                              unmapped,
                              unmapped,
                              unmapped,
                              unmapped};
    which.frame.user_sp -= sizeof(image);
    __builtin_memcpy(in_user_memory(which.frame.user_sp), image, sizeof(image));
    give_decoy(which);
    constexpr uintptr_t goes_on_there = (KERNEL_USER_CODE_SELECTOR << 4) + (goes_on & 0xffff);
    __builtin_memcpy(in_user_memory(goes_on_there), ud2, sizeof(ud2));
    if (run_task_guarded(which)) {
        const bool stayed = which.vector == X86_VECTOR_UD && which.frame.trap.ip == goes_on;
        if (which.end != task_end::faulted || (which.vector != X86_VECTOR_GP && !stayed))
            fail("the vector that ended the task", X86_VECTOR_GP, which.vector);
        if ((which.frame.trap.flags & X86_FLAGS_VM) != 0)
            fail("the task's flags", 0, which.frame.trap.flags);
    }
    ++scene.count.boundaries;
    flags_of_ones();
}

void far_away() {
    set_attack_scene();
    task which = make_sysenter_task(0);
    which.on_system_call = [](task&, trap_frame& frame) {
        frame.ip = frame.dx = KERNEL_DIRECT_BASE + 0x1000;
        frame.cx = user::user_frame_of(frame).sp() = KERNEL_PAGES_BASE + 0x1000;
    };
    if (run_task_guarded(which))
        expect_vector(which, X86_VECTOR_PF, KERNEL_DIRECT_BASE + 0x1000);
    if (which.frame.user_sp != KERNEL_PAGES_BASE + 0x1000)
        fail("the task's stack pointer", KERNEL_PAGES_BASE + 0x1000, which.frame.user_sp);
}

template <typename Change>
void expect_refused(user::refusal why, Change change) {
    task which = make_task(instructions(sysenter_code));
    change(which.frame);
    const uintptr_t sp = which.frame.user_sp;
    static_cast<void>(run_task_guarded(which));
    if (which.end != task_end::refused || which.value != static_cast<uintptr_t>(why))
        fail("why the image was refused", static_cast<uintptr_t>(why), which.value);
    if (which.frame.user_sp != sp)
        fail("the stack pointer of the task", sp, which.frame.user_sp);
    ++scene.count.boundaries;
}

void refused() {
    set_attack_scene();
    // First: without the check it is the one that comes back, with half of the kernel's ESP.
    expect_refused(user::refusal::stack_segment,
                   [](user::user_frame& frame) { frame.user_ss = KERNEL_USER_STACK_16_SELECTOR; });
    if (option("without") == "user-refusal")
        return; // no way back from the others
    expect_refused(user::refusal::code_level,
                   [](user::user_frame& frame) { frame.trap.cs = KERNEL_CODE_SELECTOR; });
    for (const uint32_t flags : {uint32_t{X86_FLAGS_IOPL}, uint32_t{X86_FLAGS_VM}})
        expect_refused(user::refusal::flags,
                       [flags](user::user_frame& frame) { frame.trap.flags |= flags; });
    expect_refused(user::refusal::flags,
                   [](user::user_frame& frame) { frame.trap.flags &= ~uint32_t{X86_FLAGS_IF}; });
    expect_refused_in_debug();
}

constexpr attack attacks[] = {
    {"step", step, {"user-step", "user-gs"}},
    {"lost-segment", lost_segment, {}},
    {"mov-ss", attack_behind_mov_ss, {}},
    {"at-entry", attack_at_entry, {"user-gs"}},
    {"nested-task", nested_task, {"user-mask"}},
    {"bad-return", bad_return, {"user-fixup"}},
    {"bad-segment", bad_segment, {"user-fixup"}},
    {"bad-nmi-return", attack_by_nmi_return, {"user-fixup", "user-unblocking"}},
    {"nmi-stack", nmi_stack, {}},
    {"virtual-8086", virtual_8086, {}},
    {"far-away", far_away, {}},
    {"refused", refused, {"user-refusal"}},
};

} // namespace

void user_attacks() {
    run_attacks(attacks);
}

} // namespace kernel
#endif // __i386__
