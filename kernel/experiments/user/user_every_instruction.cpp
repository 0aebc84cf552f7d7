// SPDX-License-Identifier: MIT
// user-every-instruction: as every-instruction, an NMI at every instruction boundary of the roads from ring 3
// into the kernel and back, the task's own instructions among them.
//
//   breakpoint, int-80, page-fault, debug   the task takes one; an NMI lands at each boundary, its handler
//                                           raises another NMI and hits INT3
//   syscall, syscall-iret                   SYSCALL, back by SYSRET or IRET
//   nmi-stack                               SYSCALL with RSP pointing into the NMI's stack, DF set
//                                           (CVE-2015-3291)
//   bad-return                              the return to the task faults, the task is ended for it
//
// nmi-from-user: an NMI interrupts the task; the second one is pended at each boundary of its way. Without a
// trace: all from a task's address to the kernel's is too much for a log.
//
// After each the task has all its registers.
#ifdef __x86_64__
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/x86/registers.hpp"

// enter_x86_64.S: where a task's end is certain
extern "C" const char kernel_leave_task[];

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

struct road {
    const char* name;
    user_instructions code;
    uintptr_t before_end; // so many bytes of it come before the window's end
    uint32_t changed;     // general registers
    void (*prepare)(task&);
};

constexpr uint8_t breakpoint_code[] = {0xcc, 0x90};
constexpr uint8_t int_80_code[] = {0xcd, 0x80, 0x90};
constexpr uint8_t page_fault_code[] = {0xc6, 0x03, 0x01, 0x90}; // movb $1, (%rbx)
constexpr uint8_t debug_code[] = {0x90, 0x90};
constexpr uint8_t syscall_code[] = {0x0f, 0x05, 0x90};
constexpr uint8_t nmi_code[] = {0x89, 0x37, 0x90, 0x90}; // mov %esi, (%rdi): the local APIC's command
constexpr uintptr_t nothing = 100;                       // a system call that does nothing

void prepare_syscall(task& which) {
    which.frame.trap.ax = nothing;
}

constexpr road roads[] = {
    {"breakpoint", instructions(breakpoint_code), 1, 0, [](task&) {}},
    {"int-80", instructions(int_80_code), 2, 0, prepare_syscall},
    {"page-fault", instructions(page_fault_code), 3, 0,
     [](task& which) {
         reset_user_memory();
         which.frame.trap.bx = user_lazy;
     }},
    {"debug", instructions(debug_code), 1, 0,
     [](task& which) { which.frame.trap.flags |= X86_FLAGS_TF; }},
    {"syscall", instructions(syscall_code), 2, USER_REGISTER(cx) | USER_REGISTER(r11),
     prepare_syscall},
    {"syscall-iret", instructions(syscall_code), 2, USER_REGISTER(cx),
     [](task& which) {
         prepare_syscall(which);
         which.on_system_call = [](task& of, trap_frame& frame) { frame.r11 = of.frame.trap.r11; };
     }},
    {"nmi-stack", instructions(syscall_code), 2, USER_REGISTER(cx) | USER_REGISTER(r11),
     [](task& which) {
         prepare_syscall(which);
         which.frame.trap.sp = nmi_stack_end() - 0x40;
         which.frame.trap.flags |= X86_FLAGS_DF;
     }},
    {"bad-return", instructions(syscall_code), 0, USER_REGISTER(cx) | USER_REGISTER(r11),
     [](task& which) {
         prepare_syscall(which);
         which.on_system_call = [](task&, trap_frame& frame) { frame.cs = 0xfffb; };
     }},
};

constexpr road road_of_nmi = {
    "nmi", instructions(nmi_code), 2, 0, [](task& which) {
        local_apic::command_high() = local_apic::id() & 0xff000000;
        which.frame.trap.di = user_apic + 0x300;
        which.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
        ++scene.count.raised;
    }};

/// Code of their own each, so that their ways can be told apart in QEMU's log.
constexpr uintptr_t code_size = 64;

const road* current;
uintptr_t code; // where its instructions lie
bool is_nmi;        // the road is the NMI's own
bool is_bad_return; // the task ends by the return
task begun, ended;

void body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame) && !is_nmi)
        raise_nmi_here();
    hit_breakpoint();
}

void prepare() {
    begin_pass(!is_nmi);
    begun = make_task(current->code, code - user_code);
    current->prepare(begun);
    ended = begun;
    begun.frame.trap.flags &= ~uint64_t{X86_FLAGS_TF};
}

void window() {
    run_task(ended);
}

void check() {
    settle();
    const uintptr_t raised_at = code + current->before_end;
    expect_two_handlers(is_nmi ? reinterpret_cast<const char*>(raised_at) : nullptr);
    if (scene.breakpoints != handlers_in_pass)
        fail("breakpoint handlers run", handlers_in_pass, scene.breakpoints);
    if (is_bad_return)
        expect_fault(ended, X86_VECTOR_GP, 0xfff8, code + 2);
    else
        expect_end(begun, ended, current->code, current->changed);
}

bool map_page(trap_frame& frame, uintptr_t address) {
    if (user::is_from_user(frame) && address == user_lazy) {
        map_lazy_user_page();
        return true;
    }
    return handle_user_page_fault(frame, address) || handle_scene_page_fault(frame, address);
}

/// From a task nothing but its way is looked at.
bool pass_user_breakpoint(trap_frame& frame) {
    return user::is_from_user(frame) || handle_scene_breakpoint(frame);
}

bool end_step(trap_frame& frame) {
    frame.flags &= ~uint64_t{X86_FLAGS_TF};
    return true;
}

void set_up(const road& which) {
    current = &which;
    is_nmi = &which == &road_of_nmi;
    code = user_code + (is_nmi ? 0 : static_cast<uintptr_t>(&which - roads) * code_size);
    is_bad_return = which.before_end == 0;
    set_user_scene(body);
    scene.other_text = user_code;
    scene.distrusts_sp = true;
    trap::set_handler(X86_VECTOR_BP, pass_user_breakpoint);
    trap::set_handler(X86_VECTOR_DB, end_step);
    trap::set_page_fault_handler(map_page);
}

void trace(const road& which) {
    const auto* const begin = reinterpret_cast<const char*>(code);
    print_window(which.name, begin, is_bad_return ? kernel_leave_task : begin + which.before_end);
    prepare();
    scene.record_ip = false;
    window();
}

} // namespace

void nmi_from_user() {
    x86::disable_interrupts();
    set_up(road_of_nmi);
    sweep_nmi({window, prepare, both_handled, check});
    scene.count.boundaries = sweep_injections();
    print_row(road_of_nmi.name);
}

void user_every_instruction() {
    x86::disable_interrupts();
    print("@text begin=", hex{user_code}, " end=", hex{user_code + page_size}, "\n");
    const bool nests = trap::current_policy() == trap::return_policy::iret;
    for (const road& which : roads) {
        // A nested NMI abandons what it finds, which may hold the lock of who maps a page.
        if (nests && text(which.name) == "page-fault")
            continue;
        set_up(which);
        if (option("mode") == "trace") {
            trace(which);
            continue;
        }
        sweep_nmi({window, prepare, both_handled, check});
        scene.count.boundaries = recorded();
        print_row(which.name, true);
        print_recorded(which.name);
    }
}

} // namespace kernel
#endif // __x86_64__
