// SPDX-License-Identifier: MIT
// What user-attacks has for both widths.
#pragma once

#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/local.hpp"

namespace kernel {

struct attack {
    text name;
    void (*run)();
    text controls[2]; ///< The defences without which it shows harm.
};

/// Runs those that are asked for, and prints a row for each. @context thread, CPU 0
template <size_t count>
void run_attacks(const attack (&attacks)[count]) {
    nmisafe::x86::disable_interrupts();
    const text without = option("without");
    const text only = option("part");
    for (const attack& each : attacks) {
        const bool is_control = without == each.controls[0] || without == each.controls[1];
        if (only.empty() ? !without.empty() && !is_control : only != each.name)
            continue;
        each.run();
        print_row(each.name.begin());
    }
}

inline constexpr uintptr_t attack_call = 100; // a system call that does nothing

/// set_user_scene(), with every exception in ring 0 a failure that abandons the task. @context
/// thread, CPU 0
void set_attack_scene();

#ifdef __x86_64__
/// Lets the task's RSP point behind words of the kernel, and fails if one of them has changed.
/// @context thread
void aim_stack_at_kernel(task& which);
void expect_kernel_words();
#endif

/// MOV SS under a watchpoint before SYSCALL (x86-32: SYSENTER), INT3 and INT 0x80. @context thread
void attack_behind_mov_ss();

/// A #DB before the first instruction of an entry, with the task's GS: behind INT3 and INT 0x80. @context thread
void attack_at_entry();

/// A #DB's handler that makes an image of the task which no CPU pushes: refused, as any other.
/// @context thread
void expect_refused_in_debug();

/// An image whose return faults with #GP.
struct bad_image {
    uintptr_t ip, cs;
    uintptr_t data; ///< x86-32: DS, ES, FS and GS.
    uintptr_t error;
};

inline constexpr uintptr_t good_selector = KERNEL_USER_DATA_SELECTOR;

inline constexpr bad_image bad_images[] = {
    {user_code, 0xfffb, good_selector, 0xfff8},                                 // beyond the GDT
    {user_code, KERNEL_USER_DATA_SELECTOR, good_selector, 0x20},                // no code
    {user_code, KERNEL_DATA_SELECTOR | 3, good_selector, KERNEL_DATA_SELECTOR}, // the kernel's
    {user_code, 3, good_selector, 0},                                           // none
#ifdef __x86_64__
    {uintptr_t{1} << 47, KERNEL_USER_CODE_SELECTOR, good_selector, 0}, // not canonical
#else
    {user_code, KERNEL_USER_CODE_SELECTOR, 0xfffb, 0xfff8},
#endif
};

/// Makes a frame from user mode the image. @context any
void damage_image(nmisafe::x86::trap_frame& frame, const bad_image& image);

/// For a task that writes (E)SI to (E)DI: that raises an NMI. @context thread
void aim_nmi_at_self(task& which);

/// Fails unless an NMI that is raised now comes at once. @context thread
void expect_next_nmi();

/// An NMI that returns to the task with each image. @context thread
void attack_by_nmi_return();

} // namespace kernel
