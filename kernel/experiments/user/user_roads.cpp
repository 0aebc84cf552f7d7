// SPDX-License-Identifier: MIT
// user-roads: every way from ring 3 into the kernel and back. What the task had in its registers,
// flags, segments and bases it has again, and the kernel finds its own GS, stack and direction
// flag.
//
//   vectors    INT n for each of the 256 vectors but NMI and those with an error code
//   events     a page fault, #GP, an interrupt, a single step
//   nmi        an NMI whose handler hits a breakpoint and faults
//   signals    an exception becomes a signal: the frame is edited, the handler returns by a system call
//   stepping   TF set all along
//   threads    two tasks take turns, in the middle of their system calls and at each step
//   syscall    SYSCALL or SYSENTER, back by SYSRET or SYSEXIT and, with a changed frame, by IRET
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

uint32_t handled;
trap_frame seen;

bool note(trap_frame& frame) {
    seen = frame;
    ++handled;
    expect_kernel_state(frame, *current_task());
    return true;
}

/// Runs the task with some flags, on both alignments of the stack.
template <typename Prepare>
void run_and_compare(user_instructions code, uint32_t events, uint32_t changed, Prepare prepare) {
    constexpr uintptr_t flags[] = {user::fixed_user_flags,
                                   user::fixed_user_flags | X86_FLAGS_CF | X86_FLAGS_PF |
                                       X86_FLAGS_AF | X86_FLAGS_ZF | X86_FLAGS_SF | X86_FLAGS_OF |
                                       X86_FLAGS_DF | X86_FLAGS_AC | X86_FLAGS_ID | X86_FLAGS_NT};
    for (const uintptr_t these : flags)
        for (uintptr_t lower = 0; lower <= 8; lower += 8) {
            task begun = make_task(code);
            begun.frame.trap.flags = these;
            begun.frame.sp() -= lower;
            handled = 0;
            prepare(begun);
            task ended = begun;
            run_task(ended);
            expect_end(begun, ended, code, changed);
            if (handled != events)
                fail("events handled", events, handled);
            ++scene.count.boundaries;
        }
}

template <typename Prepare>
void run_and_compare(user_instructions code, Prepare prepare) {
    run_and_compare(code, 1, 0, prepare);
}

// --- vectors ------------------------------------------------------------------------------------

bool has_error_code(unsigned vector) {
    return vector < X86_EXCEPTION_VECTORS && (X86_ERROR_CODE_VECTORS >> vector & 1) != 0;
}

void all_vectors() {
    open_all_gates(true);
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector) {
        if (vector == X86_VECTOR_NMI || vector == X86_VECTOR_UD || has_error_code(vector))
            continue;
        trap::set_handler(static_cast<uint8_t>(vector), note);
        const uint8_t code[] = {0xcd, static_cast<uint8_t>(vector)};
        run_and_compare(instructions(code), [](task&) {});
        if (seen.vector != vector || seen.error != 0)
            fail("the vector in the frame", vector, seen.vector);
    }
    open_all_gates(false);
}

// --- events -------------------------------------------------------------------------------------

bool map_page(trap_frame& frame, uintptr_t address) {
    if (address != user_lazy)
        return handle_user_page_fault(frame, address);
    map_lazy_user_page();
    return note(frame);
}

void page_fault() {
    constexpr uint8_t write_byte[] = {0xc6, 0x03, 0x01}; // movb $1, (%rbx)
    trap::set_page_fault_handler(map_page);
    run_and_compare(instructions(write_byte), [](task& which) {
        reset_user_memory();
        which.frame.trap.bx = user_lazy;
    });
}

void general_protection() {
    constexpr uint8_t halt[] = {0xf4};
    trap::set_handler(X86_VECTOR_GP, [](trap_frame& frame) {
        ++frame.ip;
        return note(frame);
    });
    run_and_compare(instructions(halt), [](task&) {});
}

void single_step() {
    static constexpr uint8_t no_operation[] = {0x90};
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        if (frame.ip != user_code + sizeof(no_operation))
            fail("where the step ended", user_code + sizeof(no_operation), frame.ip);
        frame.flags &= ~uintptr_t{X86_FLAGS_TF};
        return note(frame);
    });
    constexpr user_instructions code = instructions(no_operation);
    task begun = make_task(code);
    handled = 0;
    task ended = begun;
    ended.frame.trap.flags |= X86_FLAGS_TF;
    run_task(ended);
    expect_end(begun, ended, code);
    if (handled != 1)
        fail("single steps", 1, handled);
    ++scene.count.boundaries;
}

void interrupt() {
    constexpr uint8_t no_operations[] = {0x90, 0x90};
    trap::set_handler(first_experiment_vector, [](trap_frame& frame) {
        end_of_interrupt();
        return note(frame);
    });
    run_and_compare(instructions(no_operations), [](task&) {
        send_interrupt(0, first_experiment_vector); // pending: interrupts are off here
    });
}

void events() {
    page_fault();
    general_protection();
    single_step();
    interrupt();
}

uint32_t nmis;

void nmi_body(trap_frame& frame) {
    ++nmis;
    if (user::is_from_user(frame))
        note(frame);
    hit_breakpoint();
    unmap_test_page(0);
    touch_page(0);
}

void nmis_from_user() {
    set_user_scene(nmi_body);
    // mov %esi, (%rdi): the local APIC's command; a jump, behind which QEMU looks for NMIs
    constexpr uint8_t write_word[] = {0x89, 0x37, 0xeb, 0x00, 0x90};
    nmis = 0;
    run_and_compare(instructions(write_word), [](task& which) {
        local_apic::command_high() = local_apic::id() & 0xff000000;
        which.frame.trap.di = user_apic + 0x300;
        which.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
        ++scene.count.raised;
    });
    if (nmis != 4)
        fail("NMIs from user mode", 4, nmis);
}

#ifdef __x86_64__

// --- SYSCALL ------------------------------------------------------------------------------------

constexpr uint8_t syscall_code[] = {0x0f, 0x05};
constexpr uintptr_t add_one = 100;

void add_to_ax(task& which, trap_frame& frame) {
    note(frame);
    if (frame.cx != frame.ip || frame.ip != user_code + sizeof(syscall_code))
        fail("RCX in SYSCALL", user_code + sizeof(syscall_code), frame.cx);
    if (frame.r11 != which.frame.trap.flags || frame.flags != frame.r11)
        fail("R11 in SYSCALL", which.frame.trap.flags, frame.r11);
    ++frame.ax;
}

void system_calls() {
    run_and_compare(instructions(syscall_code), 1,
                    USER_REGISTER(ax) | USER_REGISTER(cx) | USER_REGISTER(r11), [](task& which) {
                        which.frame.trap.ax = add_one;
                        which.on_system_call = add_to_ax;
                    });
    // A frame that SYSRET cannot return to: all of it, RCX and R11 too, comes back by IRET.
    run_and_compare(instructions(syscall_code), 1, USER_REGISTER(ax), [](task& which) {
        which.frame.trap.ax = add_one;
        which.on_system_call = [](task& of, trap_frame& frame) {
            add_to_ax(of, frame);
            frame.cx = of.frame.trap.cx;
            frame.r11 = of.frame.trap.r11;
        };
    });
}

#else

// --- SYSENTER -----------------------------------------------------------------------------------

// The task says where to return to, with which stack; the first two bytes are not where that is.
constexpr uint8_t sysenter_code[] = {0x0f, 0x34, 0xeb, 0x00};
constexpr uintptr_t returns_to = user_code + 2;
constexpr uintptr_t add_one = 100;

void add_to_ax(task&, trap_frame& frame) {
    note(frame);
    user::user_frame& all = user::user_frame_of(frame);
    if (frame.ip != returns_to || frame.dx != returns_to)
        fail("EIP of SYSENTER", returns_to, frame.ip);
    if (all.sp() != frame.cx)
        fail("ESP of SYSENTER", frame.cx, all.sp());
    ++frame.ax;
}

void prepare_sysenter(task& which) {
    which.frame.trap.ax = add_one;
    which.frame.trap.dx = returns_to;
    which.frame.trap.cx = which.frame.sp();
    which.on_system_call = add_to_ax;
}

void system_calls() {
    run_and_compare(instructions(sysenter_code), 1, USER_REGISTER(ax), prepare_sysenter);
    // A frame that SYSEXIT cannot return to: all of it, EDX and ECX too, comes back by IRET.
    run_and_compare(instructions(sysenter_code), 1,
                    USER_REGISTER(ax) | USER_REGISTER(cx) | USER_REGISTER(dx), [](task& which) {
                        prepare_sysenter(which);
                        which.on_system_call = [](task& of, trap_frame& frame) {
                            add_to_ax(of, frame);
                            frame.cx = 0x1111;
                            frame.dx = 0x2222;
                        };
                    });
}

#endif

// --- signals and steps --------------------------------------------------------------------------

/// The task's frame is edited, it runs its handler, and has all as it was when that has returned.
void signals() {
    trap::set_handler(X86_VECTOR_UD, [](trap_frame& frame) {
        task& which = *current_task();
        if (which.exceptions != 1 || which.system_calls != 1)
            fail("signals and returns from them", 1, which.exceptions << 8 | which.system_calls);
        which.signal_handler = 0;
        return note(frame) && handle_user_exception(frame);
    });
    run_and_compare(instructions(signal_code), [](task& which) {
        reset_user_memory();
        which.signal_handler = user_code + signal_handler_offset;
    });
}

constexpr uint8_t stepped_code[] = {0x90, 0xcd, 0x80, 0x90, 0x90}; // nop; int $0x80; nop; nop
uintptr_t steps[4];

/// A debugger: each instruction of the task is stepped, and INT n with the one behind it.
void stepping() {
    constexpr uintptr_t expected[] = {1, 4, 5};
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        if (handled < 4)
            steps[handled] = frame.ip - user_code;
        return note(frame);
    });
    run_and_compare(instructions(stepped_code), 3, 0, [](task& which) {
        which.frame.trap.ax = 100; // a system call that does nothing
        which.frame.trap.flags |= X86_FLAGS_TF;
    });
    for (unsigned i = 0; i < 3; ++i)
        if (steps[i] != expected[i])
            fail("the place of a step", expected[i], steps[i]);
}

// --- threads ------------------------------------------------------------------------------------

// A NOP behind each: a step of a system call itself is none from user mode.
#ifdef __x86_64__
constexpr uint8_t turns_code[] = {0xcd, 0x80, 0x90, 0x0f, 0x05, 0x90, // by both ways
                                  0xcd, 0x80, 0x90, 0x0f, 0x05, 0x90};
#else
constexpr uint8_t turns_code[] = {0xcd, 0x80, 0x90, 0xcd, 0x80, 0x90,
                                  0xcd, 0x80, 0x90, 0xcd, 0x80, 0x90};
#endif
constexpr uint32_t turns = 4; // of each

const task* latest;
uint32_t changes;
const task* latest_step;
uint32_t steps_changed;

void take_turn(task& which, trap_frame& frame) {
    expect_kernel_state(frame, which);
    changes += &which != latest ? 1 : 0;
    latest = &which;
    yield();
    expect_kernel_state(frame, which);
}

/// For the work before the return, on the thread's stack. Bochs reports the step of a SYSCALL before
/// the entry's first instruction.
bool end_turn(trap_frame& frame) {
    if (!user::is_from_user(frame))
        return true;
    expect_kernel_state(frame, *current_task());
    if (current_task() != latest_step)
        ++steps_changed;
    latest_step = current_task();
    this_cpu().need_resched = 1;
    return true;
}

void two_threads() {
    trap::set_handler(X86_VECTOR_DB, end_turn);
    static task tasks[2];
    thread* started[2];
    changes = steps_changed = 0;
    for (unsigned i = 0; i < 2; ++i) {
        tasks[i] = make_task(instructions(turns_code));
        tasks[i].frame.trap.ax = 100; // a system call that does nothing
        tasks[i].frame.trap.flags |= X86_FLAGS_TF;
        tasks[i].frame.sp() -= i * 1024;
#ifdef __x86_64__
        tasks[i].gs_base += i * 0x1000;
#endif
        tasks[i].on_system_call = take_turn;
    }
    for (unsigned i = 0; i < 2; ++i)
        started[i] = create_thread(
            0, [](void* which) { run_task(*static_cast<task*>(which)); }, &tasks[i]);
    for (unsigned i = 0; i < 2; ++i) {
        join(started[i]);
        expect_fault(tasks[i], X86_VECTOR_UD, 0, user_code + sizeof(turns_code));
        if (tasks[i].system_calls != turns)
            fail("system calls of a thread", turns, tasks[i].system_calls);
        ++scene.count.boundaries;
    }
    if (changes < turns)
        fail("turns", turns, changes);
    if (steps_changed < turns)
        fail("turns behind a step", turns, steps_changed);
}

} // namespace

void user_roads() {
    constexpr struct {
        const char* name;
        void (*run)();
    } parts[] = {
        {"vectors", all_vectors},  {"events", events},   {"nmi", nmis_from_user},
        {"syscall", system_calls}, {"signals", signals}, {"stepping", stepping},
        {"threads", two_threads},
    };
    x86::disable_interrupts();
    const text only = option("part");
    for (const auto& [name, run] : parts) {
        if (!only.empty() && only != text(name))
            continue;
        set_user_scene(nullptr);
        run();
        print_row(name);
    }
}

} // namespace kernel
