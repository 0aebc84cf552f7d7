// SPDX-License-Identifier: MIT
// from-outside with mode=user: an NMI that the CPU takes although it blocks NMIs, an #MC whose
// handler raises one and hits INT3, or an SMI, at each instruction boundary of an NMI from user mode, from the
// task's instruction that raises it to the end of its way.
//
//   nmi-from-user   to the task's next instruction
//   nmi-to-fault    the handler leaves an image whose CS makes IRET fault: to the end of the task
//   nmi-to-segment  x86-32: one whose DS cannot be loaded
//   nmi-refused     one with IOPL, which must not be returned to
//   nmi-in-kernel   an NMI of ring 0, by the entries of user mode
//
// It is held back until the handler has run, and then handled; the task's registers and its frame
// are as they were. With mode=user-roads the same of the other ways from ring 3 and back, which have no NMI of
// their own: breakpoint, int-80, page-fault, syscall, syscall-iret (x86-32: by SYSENTER), bad-return, whose
// IRET faults, debug, a single step, and interrupt. On x86-64 none comes before the entry's very first instruction. The emulator
// sets outside_done when it has come to a path's end.
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_scene.hpp"

extern "C" uint32_t outside_done; // from_outside.cpp

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t most_passes = 10000;
constexpr uint32_t passes_at_the_end = 2; // until the emulator's word is seen
// Where the path's own NMI has just been delivered none is raised on x86-64; x86-32 merges the two
// there.
constexpr uint32_t merged = 1;
constexpr uintptr_t bad_selector = 0x7f3; // beyond the GDT

shared_count handlers;
shared_flag is_edited;
uintptr_t first_frame;
bool with_machine_check;
task begun, ended;

constexpr uint8_t breakpoint_code[] = {0xcc, 0x90, 0x90, 0x90};
constexpr uint8_t int_80_code[] = {0xcd, 0x80, 0x90, 0x90};
constexpr uint8_t page_fault_code[] = {0xc6, 0x03, 0x01, 0x90}; // movb $1, (%rbx)
#ifdef __x86_64__
constexpr uint8_t syscall_code[] = {0x0f, 0x05, 0x90, 0x90};
#else
constexpr uint8_t syscall_code[] = {0x0f, 0x34, 0x90, 0x90};
#endif
constexpr uint8_t nop_code[] = {0x90, 0x90, 0x90, 0x90};
constexpr uintptr_t nothing = 100; // a system call that does nothing

struct user_path {
    const char* name;
    user_instructions code;
    uint32_t own_nmis;
    void (*prepare)(task&);
    void (*edit)(trap_frame&);
    void (*check)();
};

/// Once in a pass: a handler that runs again finds the image as it has left it.
bool is_first_of_task(const trap_frame& frame) {
    if (is_edited || !user::is_from_user(frame))
        return false;
    is_edited = true;
    return true;
}

void damage_cs(trap_frame& frame) {
    if (is_first_of_task(frame))
        frame.cs = bad_selector;
}

#ifdef __i386__
void damage_ds(trap_frame& frame) {
    if (is_first_of_task(frame))
        user::user_frame_of(frame).ds = bad_selector;
}
#endif

void damage_flags(trap_frame& frame) {
    if (is_first_of_task(frame))
        frame.flags |= X86_FLAGS_IOPL;
}

void expect_bad_selector() {
    expect_fault(ended, X86_VECTOR_GP, bad_selector & ~uintptr_t{3}, begun.frame.trap.ip + 2);
}

void expect_refusal() {
    if (ended.end != task_end::refused ||
        ended.value != static_cast<uintptr_t>(user::refusal::flags))
        fail("why the image was refused", static_cast<uintptr_t>(user::refusal::flags),
             ended.value);
}

void expect_first_end() {
    expect_end(begun, ended, instructions(raise_nmi_code));
}

constexpr user_path paths[] = {
    {"nmi-from-user", instructions(raise_nmi_code), 1, prepare_to_raise_nmi, nullptr,
     expect_first_end},
    {"nmi-to-fault", instructions(raise_nmi_code), 1, prepare_to_raise_nmi, damage_cs,
     expect_bad_selector},
#ifdef __i386__
    {"nmi-to-segment", instructions(raise_nmi_code), 1, prepare_to_raise_nmi, damage_ds,
     expect_bad_selector},
#endif
    {"nmi-refused", instructions(raise_nmi_code), 1, prepare_to_raise_nmi, damage_flags,
     expect_refusal},
    {"nmi-in-kernel", instructions(raise_nmi_code), 1, nullptr, nullptr, nullptr},
};

// --- The other roads ----------------------------------------------------------------------------

void prepare_nothing(task&) {}

void prepare_int_80(task& which) {
    which.frame.trap.ax = nothing;
}

void prepare_page_fault(task& which) {
    reset_user_memory();
    which.frame.trap.bx = user_lazy;
}

void prepare_syscall(task& which) {
    which.frame.trap.ax = nothing;
#ifdef __i386__
    which.frame.trap.dx = user_code + 2;
    which.frame.trap.cx = which.frame.sp();
#endif
}

/// What the road back by the CPU's own instruction does not take.
void prepare_syscall_iret(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task&, trap_frame& frame) { frame.cx ^= 1; };
}

void prepare_bad_return(task& which) {
    prepare_syscall(which);
    which.on_system_call = [](task&, trap_frame& frame) { frame.cs = bad_selector; };
}

void prepare_debug(task& which) {
    which.frame.trap.flags |= X86_FLAGS_TF;
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        if (!user::is_from_user(frame) || frame.ip != user_code + 1)
            fail("where a step ended", user_code + 1, frame.ip);
        frame.flags &= ~uintptr_t{X86_FLAGS_TF};
        return true;
    });
}

/// The instruction that raises an NMI on the paths above.
void prepare_interrupt(task& which) {
    constexpr uintptr_t command_low = 0x300;
    local_apic::command_high() = local_apic::id() & 0xff000000;
    which.frame.trap.di = user_apic + command_low;
    which.frame.trap.si = local_apic::level_assert | static_cast<uint32_t>(vector::synchronise);
}

constexpr uint32_t changed =
#ifdef __x86_64__
    USER_REGISTER(r11) |
#endif
    USER_REGISTER(cx);

void expect_road_end() {
    expect_end(begun, ended, instructions(syscall_code));
}

void expect_step_end() {
    begun.frame.trap.flags &= ~uintptr_t{X86_FLAGS_TF}; // the handler has taken it away
    expect_end(begun, ended, instructions(nop_code));
}

void expect_syscall_end() {
    expect_end(begun, ended, instructions(syscall_code), changed);
}

constexpr user_path roads[] = {
    {"breakpoint", instructions(breakpoint_code), 0, prepare_nothing, nullptr, expect_road_end},
    {"int-80", instructions(int_80_code), 0, prepare_int_80, nullptr, expect_road_end},
    {"page-fault", instructions(page_fault_code), 0, prepare_page_fault, nullptr, expect_road_end},
    {"syscall", instructions(syscall_code), 0, prepare_syscall, nullptr, expect_syscall_end},
    {"syscall-iret", instructions(syscall_code), 0, prepare_syscall_iret, nullptr,
     expect_syscall_end},
    {"bad-return", instructions(syscall_code), 0, prepare_bad_return, nullptr, expect_bad_selector},
    {"debug", instructions(nop_code), 0, prepare_debug, nullptr, expect_step_end},
    {"interrupt", instructions(raise_nmi_code), 0, prepare_interrupt, nullptr, expect_first_end},
};

bool map_page(trap_frame& frame, uintptr_t address) {
    if (user::is_from_user(frame) && address == user_lazy) {
        map_lazy_user_page();
        return true;
    }
    return handle_user_page_fault(frame, address);
}

/// In a task it is over when it has come here.
bool on_breakpoint(trap_frame& frame) {
    return user::is_from_user(frame) || handle_scene_breakpoint(frame);
}

const user_path* path;
void (*raise_in_kernel)();

/// x86-32: one in the exit of another takes its place on the stack, but not one in the handler of
/// an #MC there. In the entry of another it is the first to run.
void nmi_body(trap_frame& frame) {
    const auto address = reinterpret_cast<uintptr_t>(&frame);
    if (++handlers == 1)
        first_frame = address;
    else if (path->check == nullptr && !with_machine_check && address < first_frame)
        fail("the second handler's frame", first_frame, address);
}

void one_pass() {
    if (path->check == nullptr) {
        raise_in_kernel();
    } else {
        path->prepare(begun);
        ended = begun;
        run_task(ended);
        path->check();
    }
    settle();
}

bool on_machine_check(trap_frame&) {
    if (!expect_own_gs("GS in #MC"))
        abandon_task();
    raise_nmi_here();
    hit_breakpoint();
    return true;
}

/// False if a nested NMI abandoned it: the emulator then is in the middle of a pass.
bool sweep() {
    set_user_scene(nmi_body);
    trap::set_handler(X86_VECTOR_MC, on_machine_check);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_page_fault_handler(map_page);
    scene.edit = path->edit;
    scene.distrusts_sp = true;
    begun = make_task(path->code);
    give_decoy(begun);
    const uint32_t handled_in_pass = path->own_nmis + 1;
    uint32_t without_event = 0;
    outside_done = 0;
    do {
        handlers = 0;
        is_edited = false;
        ++scene.count.boundaries;
        if (!run_guarded(one_pass)) { // a control, which has shown what it is to
            forget_task();
            print_row(path->name);
            return false;
        }
        without_event += handlers != handled_in_pass;
    } while (__atomic_load_n(&outside_done, __ATOMIC_ACQUIRE) == 0 &&
             scene.count.boundaries < most_passes);
    const bool with_smi = option("event") == "smi"; // of which nothing is seen here
    if (!with_smi && without_event > passes_at_the_end + merged)
        fail("passes without the event", passes_at_the_end + merged, without_event);
    if (outside_done == 0)
        fail("the emulator came to the path's end", 1, 0);
    print_row(path->name);
    return true;
}

} // namespace

void user_from_outside(void (*in_kernel)()) {
    raise_in_kernel = in_kernel;
    with_machine_check = option("event") == "machine-check";
    const auto sweep_path = [](const user_path& which) {
        path = &which;
        return sweep();
    };
    if (option("mode") == "user-roads") {
        for (const user_path& which : roads)
            if (!sweep_path(which))
                return;
        return;
    }
    for (const user_path& which : paths)
        if (!sweep_path(which))
            return;
}

} // namespace kernel
