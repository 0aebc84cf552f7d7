// SPDX-License-Identifier: MIT
// from-outside with mode=user: an NMI that the CPU takes although it blocks NMIs, or an #MC whose
// handler raises one and hits INT3, at each instruction boundary of an NMI from user mode, from the
// task's instruction that raises it to the end of its way.
//
//   nmi-from-user   to the task's next instruction
//   nmi-to-fault    the handler leaves an image whose CS makes IRET fault: to the end of the task
//   nmi-to-segment  x86-32: one whose DS cannot be loaded
//   nmi-refused     one with IOPL, which must not be returned to
//   nmi-in-kernel   an NMI of ring 0, by the entries of user mode
//
// It is held back until the handler has run, and then handled; the task's registers and its frame
// are as they were. On x86-64 none comes before the entry's very first instruction. The emulator
// sets outside_done when it has come to a path's end.
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
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

struct user_path {
    const char* name;
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

constexpr user_path paths[] = {
    {"nmi-from-user", nullptr, [] { expect_end(begun, ended, instructions(raise_nmi_code)); }},
    {"nmi-to-fault", damage_cs, expect_bad_selector},
#ifdef __i386__
    {"nmi-to-segment", damage_ds, expect_bad_selector},
#endif
    {"nmi-refused", damage_flags, expect_refusal},
    {"nmi-in-kernel", nullptr, nullptr},
};

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
        prepare_to_raise_nmi(begun);
        ended = begun;
        run_task(ended);
        path->check();
    }
    settle();
}

bool on_machine_check(trap_frame&) {
    raise_nmi_here();
    hit_breakpoint();
    return true;
}

/// False if a nested NMI abandoned it: the emulator then is in the middle of a pass.
bool sweep() {
    set_user_scene(nmi_body);
    trap::set_handler(X86_VECTOR_MC, on_machine_check);
    scene.edit = path->edit;
    scene.distrusts_sp = true;
    begun = make_task(instructions(raise_nmi_code));
    uint32_t without_event = 0;
    outside_done = 0;
    do {
        handlers = 0;
        is_edited = false;
        ++scene.count.boundaries;
        if (!run_guarded(one_pass)) { // a control, which has shown what it is to
            print_row(path->name);
            return false;
        }
        without_event += handlers != 2;
    } while (__atomic_load_n(&outside_done, __ATOMIC_ACQUIRE) == 0 &&
             scene.count.boundaries < most_passes);
    if (without_event > passes_at_the_end + merged)
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
    for (const user_path& which : paths) {
        path = &which;
        if (!sweep())
            return;
    }
}

} // namespace kernel
