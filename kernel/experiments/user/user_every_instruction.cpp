// SPDX-License-Identifier: MIT
// user-every-instruction: as every-instruction, an NMI at every instruction boundary of the roads
// from ring 3 into the kernel and back, the task's own instructions among them.
//
//   breakpoint, int-80, page-fault, debug   the task takes one; an NMI lands at each boundary, its handler
//                                           raises another NMI and hits INT3
//   machine-check                           the same of an #MC, by INT 18: the gate lets ring 3 for this road
//   signal                                  INT3 becomes a signal, whose handler returns by INT 0x80
//   syscall, syscall-iret                   SYSCALL, back by SYSRET or IRET; x86-32: SYSENTER, SYSEXIT
//   nmi-stack, nmi-frame, nested-frame      x86-64: SYSCALL with RSP pointing into the NMI's stack, DF set
//                                           (CVE-2015-3291); to where the CPU leaves it in an NMI, in a nested one
//   first-event                             x86-64: #DB before the first instruction behind SYSCALL, with the
//                                           task's GS and RSP, by a mask that leaves TF: the last road
//   syscall-step                            x86-32: a step of SYSENTER, which leaves TF as it is
//   syscall-interrupt                       x86-32: an interrupt is pending when SYSEXIT's STI lets it in
//   bad-return                              the return to the task faults, the task is ended for it
//   bad-segment                             x86-32: the same with a selector that cannot be loaded
//
// nmi-from-user: an NMI interrupts the task; the second one is pended at each boundary of its way.
// Without a trace: all from a task's address to the kernel's is too much for a log.
//
// After each the task has all its registers.
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/registers.hpp"

// enter_x86_*.S: where a task's end is certain
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
    uintptr_t error = 0; // the code of the #GP that ends the task; 0: it comes to its end
};

constexpr uint8_t breakpoint_code[] = {0xcc, 0x90};
constexpr uint8_t int_80_code[] = {0xcd, 0x80, 0x90};
constexpr uint8_t page_fault_code[] = {0xc6, 0x03, 0x01, 0x90}; // movb $1, (%rbx)
constexpr uint8_t debug_code[] = {0x90, 0x90};
constexpr uint8_t machine_check_code[] = {0xcd, X86_VECTOR_MC, 0x90};
// mov %esi, (%rdi): the local APIC's command
constexpr uint8_t nmi_code[] = {0x89, 0x37, 0x90, 0x90};
constexpr uintptr_t nothing = 100;       // a system call that does nothing
constexpr uintptr_t no_selector = 0x7f3; // beyond the GDT
#ifdef __x86_64__
constexpr uint8_t syscall_code[] = {0x0f, 0x05, 0x90};
#else
constexpr uint8_t syscall_code[] = {0x0f, 0x34, 0x90};
#endif

/// Code of their own each, so that their ways can be told apart in QEMU's log.
constexpr uintptr_t code_size = 64;

const road* current;
uintptr_t code; // where its instructions lie
bool is_nmi;    // the road is the NMI's own
task begun, ended;

void prepare_nothing(task&) {}

void prepare_page_fault(task& which) {
    reset_user_memory();
    which.frame.trap.bx = user_lazy;
}

void prepare_step(task& which) {
    which.frame.trap.flags |= X86_FLAGS_TF;
}

void prepare_signal(task& which) {
    reset_user_memory();
    which.signal_handler = code + signal_handler_offset;
}

void prepare_int_80(task& which) {
    which.frame.trap.ax = nothing;
}

#ifdef __x86_64__

void prepare_syscall(task& which) {
    which.frame.trap.ax = nothing;
}

void prepare_syscall_iret(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task& of, trap_frame& frame) { frame.r11 = of.frame.trap.r11; };
}

constexpr uintptr_t hardware_frame = sizeof(trap_frame) - offsetof(trap_frame, ip);

/// RSP in the NMI's stack, in one of the latch's levels below its end.
template <uintptr_t level, uintptr_t below>
void prepare_nmi_stack(task& which) {
    prepare_syscall(which);
    which.frame.trap.sp = nmi_stack_end() - level * NMI_STRIDE - below;
    which.frame.trap.flags |= X86_FLAGS_DF;
}

void prepare_first_event(task& which) {
    prepare_nmi_stack<0, 0x40>(which);
    prepare_step(which);
    x86::write_msr(X86_MSR_SYSCALL_MASK, user::syscall_mask & ~uintptr_t{X86_FLAGS_TF});
}

constexpr uint32_t syscall_changes = USER_REGISTER(cx) | USER_REGISTER(r11);
constexpr uint32_t syscall_iret_changes = USER_REGISTER(cx);

#else

void prepare_syscall(task& which) {
    which.frame.trap.ax = nothing;
    which.frame.trap.dx = code + 2;
    which.frame.trap.cx = which.frame.sp();
}

void prepare_syscall_iret(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task&, trap_frame& frame) { frame.cx = 0; };
}

void prepare_syscall_step(task& which) {
    prepare_syscall(which);
    prepare_step(which);
}

void prepare_syscall_interrupt(task& which) {
    prepare_syscall(which);
    give_decoy(which);
    which.on_system_call = [](task&, trap_frame&) { send_interrupt(0, first_experiment_vector); };
}

/// With interrupts on at SYSEXIT itself it would come in ring 0, where the segments are the task's.
bool take_interrupt(trap_frame& frame) {
    end_of_interrupt();
    if (!user::is_from_user(frame))
        fail("an interrupt in ring 0", code + 2, frame.ip);
    return true;
}

void prepare_bad_segment(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task&, trap_frame& frame) {
        user::user_frame_of(frame).es = no_selector;
    };
}

constexpr uint32_t syscall_changes = 0;
constexpr uint32_t syscall_iret_changes = USER_REGISTER(cx);

#endif

void prepare_bad_return(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task&, trap_frame& frame) { frame.cs = no_selector; };
}

constexpr road roads[] = {
    {"breakpoint", instructions(breakpoint_code), 1, 0, prepare_nothing},
    {"int-80", instructions(int_80_code), 2, 0, prepare_int_80},
    {"page-fault", instructions(page_fault_code), 3, 0, prepare_page_fault},
    {"debug", instructions(debug_code), 1, 0, prepare_step},
    {"machine-check", instructions(machine_check_code), 2, 0, prepare_nothing},
    {"signal", instructions(signal_code), sizeof(signal_code), 0, prepare_signal},
    {"syscall", instructions(syscall_code), 2, syscall_changes, prepare_syscall},
    {"syscall-iret", instructions(syscall_code), 2, syscall_iret_changes, prepare_syscall_iret},
#ifdef __x86_64__
    {"nmi-stack", instructions(syscall_code), 2, syscall_changes, prepare_nmi_stack<0, 0x40>},
    {"nmi-frame", instructions(syscall_code), 2, syscall_changes,
     prepare_nmi_stack<0, hardware_frame>},
    {"nested-frame", instructions(syscall_code), 2, syscall_changes,
     prepare_nmi_stack<1, hardware_frame>},
#else
    {"syscall-step", instructions(syscall_code), 2, syscall_changes, prepare_syscall_step},
    {"syscall-interrupt", instructions(syscall_code), 2, 0, prepare_syscall_interrupt},
    {"bad-segment", instructions(syscall_code), 2, 0, prepare_bad_segment, no_selector & ~3U},
#endif
    {"bad-return", instructions(syscall_code), 2, 0, prepare_bad_return, no_selector & ~3U},
#ifdef __x86_64__
    {"first-event", instructions(syscall_code), 2, syscall_changes, prepare_first_event},
#endif
};

constexpr road road_of_nmi = {"nmi", instructions(nmi_code), 2, 0, [](task& which) {
                                  local_apic::command_high() = local_apic::id() & 0xff000000;
                                  which.frame.trap.di = user_apic + 0x300;
                                  which.frame.trap.si =
                                      local_apic::deliver_nmi | local_apic::level_assert;
                                  ++scene.count.raised;
                              }};

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
    begun.frame.trap.flags &= ~uintptr_t{X86_FLAGS_TF};
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
    if (current->error != 0)
        expect_fault(ended, X86_VECTOR_GP, current->error, code + 2);
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

/// From a task nothing but its way is looked at, where it does not become a signal.
bool on_breakpoint(trap_frame& frame) {
    if (!user::is_from_user(frame))
        return handle_scene_breakpoint(frame);
    return current_task()->signal_handler == 0 || handle_user_exception(frame);
}

/// The UD2 at the end of the task's code is no signal.
bool on_end(trap_frame& frame) {
    if (user::is_from_user(frame))
        current_task()->signal_handler = 0;
    return handle_user_exception(frame);
}

/// From ring 3 it runs on the thread's stack, as a #DB.
bool on_machine_check(trap_frame& frame) {
    if (!user::is_from_user(frame))
        fail("an #MC in ring 0", code, frame.ip);
    expect_kernel_state(frame, ended);
    return true;
}

bool end_step(trap_frame& frame) {
    frame.flags &= ~uintptr_t{X86_FLAGS_TF};
    return true;
}

void set_up(const road& which) {
    current = &which;
    is_nmi = &which == &road_of_nmi;
    code = user_code + (is_nmi ? 0 : static_cast<uintptr_t>(&which - roads) * code_size);
    set_user_scene(body);
    scene.other_text = user_code;
    scene.distrusts_sp = true;
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_handler(X86_VECTOR_UD, on_end);
#ifdef __i386__
    trap::set_handler(first_experiment_vector, take_interrupt);
#endif
    trap::set_handler(X86_VECTOR_DB, end_step);
    trap::set_handler(X86_VECTOR_MC, on_machine_check);
    open_all_gates(text(which.name) == "machine-check");
    trap::set_page_fault_handler(map_page);
}

void trace(const road& which) {
    const auto* const begin = reinterpret_cast<const char*>(code);
    print_window(which.name, begin,
                 which.error != 0 ? kernel_leave_task : begin + which.before_end);
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
        if (option("without") == "rewind" && text(which.name) != "syscall-interrupt")
            continue; // what it defends
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
