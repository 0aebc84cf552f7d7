// SPDX-License-Identifier: MIT
// user-attacks: what a hostile task tries, by name.
//
//   first-event   #DB as the first event in the kernel, with the task's GS and RSP, which points into the
//                 kernel. Made by a mask of SYSCALL that leaves TF: on a CPU MOV SS does it (CVE-2018-8897)
//   last-event    #DB as the last one, with the task's RSP: a watchpoint on the word from which SYSRET's road loads it
//   mov-ss        first-event, with MOV SS under a watchpoint before SYSCALL; before INT3 and INT 0x80 too,
//                 but no emulator here delivers the #DB of these two in the kernel
//   at-entry      what these two lead to: a #DB before the first instruction of their entries
//   flags         SYSCALL with TF, NT, DF and AC set
//   step          single steps over SYSCALL, and of jumps to where the kernel takes frames back by an instruction
//   canonical     SYSCALL at the end of the user's half: SYSRET there would fault in ring 0, on the task's stack
//   bad-return    an image whose CS or RIP makes IRET fault (CVE-2015-5157)
//   bad-nmi-return the same when an NMI returns to the task; NMIs are unblocked all the same
//   refused       images of ring 0, with another stack segment (CVE-2015-3290), without IF, with IOPL
#ifdef __x86_64__
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_attacks_shared.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint8_t syscall_code[] = {0x0f, 0x05};

uint32_t handled;

// --- first-event --------------------------------------------------------------------------------

bool end_step_in_kernel(trap_frame& frame) {
    ++handled;
    static_cast<void>(expect_own_gs("GS in #DB"));
    frame.flags &= ~uint64_t{X86_FLAGS_TF};
    const bool in_entry =
        frame.ip >= reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall) &&
        frame.ip < reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall_on_stack);
    if (!user::is_from_user(frame) && !in_entry)
        fail("where #DB came", reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall), frame.ip);
    return true;
}

void first_event() {
    set_attack_scene();
    trap::set_handler(X86_VECTOR_DB, end_step_in_kernel);
    handled = 0;
    x86::write_msr(X86_MSR_SYSCALL_MASK, user::syscall_mask & ~uintptr_t{X86_FLAGS_TF});
    task begun = make_task(instructions(syscall_code));
    begun.frame.trap.ax = attack_call;
    aim_stack_at_kernel(begun);
    give_decoy(begun);
    task ended = begun;
    ended.frame.trap.flags |= X86_FLAGS_TF;
    if (run_task_guarded(ended)) {
        ended.frame.trap.flags &= ~uint64_t{X86_FLAGS_TF};
        expect_end(begun, ended, instructions(syscall_code),
                   USER_REGISTER(cx) | USER_REGISTER(r11));
    }
    if (handled == 0)
        fail("#DB in the kernel", 1, handled);
    expect_kernel_words();
    user::set_up_syscalls(KERNEL_CODE_SELECTOR);
    ++scene.count.boundaries;
}

// --- last-event ---------------------------------------------------------------------------------

uintptr_t hit_at;

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
// RSP is put into another word first, and comes from there when the frame is not mapped any more.
constexpr uint32_t last_event_hits = 2;

void* stack_pointer_word(trap_frame&) {
    return &this_cpu().user.scratch;
}
#else
constexpr uint32_t last_event_hits = 1;

void* stack_pointer_word(trap_frame& frame) {
    return &frame.sp;
}
#endif

bool note_hit(trap_frame& frame) {
    static_cast<void>(expect_own_gs("GS in #DB"));
    if (++handled == last_event_hits)
        trap::set_debug_control(X86_DR7_DISARMED);
    hit_at = frame.ip;
    return true;
}

void watch_stack_pointer(task&, trap_frame& frame) {
    constexpr uintptr_t watch_word =
        X86_DR7_DISARMED | 1 | 0xb0000; // DR0, 8 bytes, read or written
    x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(stack_pointer_word(frame)));
    trap::set_debug_control(watch_word);
}

void last_event() {
    set_attack_scene();
    trap::set_handler(X86_VECTOR_DB, note_hit);
    handled = 0;
    task begun = make_task(instructions(syscall_code));
    begun.frame.trap.ax = attack_call;
    begun.on_system_call = watch_stack_pointer;
    aim_stack_at_kernel(begun);
    give_decoy(begun);
    task ended = begun;
    if (run_task_guarded(ended))
        expect_end(begun, ended, instructions(syscall_code),
                   USER_REGISTER(cx) | USER_REGISTER(r11));
    if (handled != last_event_hits)
        fail("#DB on the way back", last_event_hits, handled);
    if (hit_at < reinterpret_cast<uintptr_t>(user::nmisafe_user_sysret) ||
        hit_at >= reinterpret_cast<uintptr_t>(user::nmisafe_user_sysret_end))
        fail("where #DB came", reinterpret_cast<uintptr_t>(user::nmisafe_user_sysret), hit_at);
    expect_kernel_words();
    ++scene.count.boundaries;
}

// --- flags and step -----------------------------------------------------------------------------

void flags() {
    set_attack_scene();
    constexpr uintptr_t hostile = X86_FLAGS_NT | X86_FLAGS_DF | X86_FLAGS_AC | X86_FLAGS_ID;
    task begun = make_task(instructions(syscall_code));
    begun.frame.trap.ax = attack_call;
    begun.frame.trap.flags |= hostile;
    begun.on_system_call = [](task&, trap_frame& frame) {
        const uintptr_t now = x86::read_flags();
        if ((now & user::syscall_mask) != 0)
            fail("RFLAGS in a system call", 0, now);
        asm volatile("cld");
        frame.r11 ^= X86_FLAGS_ID; // so that the way back is IRET, which NT would make fault
    };
    task ended = begun;
    if (run_task_guarded(ended)) {
        begun.frame.trap.r11 = ended.frame.trap.r11;
        expect_end(begun, ended, instructions(syscall_code), USER_REGISTER(cx));
    }
    ++scene.count.boundaries;
}

uintptr_t steps[4];

bool note_step(trap_frame& frame) {
    if (!user::is_from_user(frame)) {
        // On Bochs the TF that SYSCALL clears still traps behind it.
        if (frame.ip != reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall))
            fail("a step in ring 0", 0, frame.ip);
        return true;
    }
    if (handled < 4)
        steps[handled] = frame.ip - user_code;
    ++handled;
    return true;
}

/// A step of a jump into the kernel is reported with the kernel's RIP, before the fetch faults.
void step_into_kernel() {
    constexpr uint8_t jump[] = {0xff, 0xe0};  // jmp *%rax
    constexpr uintptr_t fetch_by_user = 0x15; // present, by user mode, a fetch
    for (const char* const place : {nmisafe_trap_near_shadowed, nmisafe_trap_far_shadowed}) {
        handled = 0;
        task which = make_task(instructions(jump));
        which.frame.trap.ax = reinterpret_cast<uintptr_t>(place);
        which.frame.trap.flags |= X86_FLAGS_TF;
        run_task(which);
        if (handled != 1)
            fail("steps of a jump into the kernel", 1, handled);
        expect_fault(which, X86_VECTOR_PF, fetch_by_user, reinterpret_cast<uintptr_t>(place));
        ++scene.count.boundaries;
    }
}

void step() {
    set_attack_scene();
    constexpr uint8_t code[] = {0x90, 0x0f, 0x05, 0x90, 0x90}; // nop; syscall; nop; nop
    trap::set_handler(X86_VECTOR_DB, note_step);
    handled = 0;
    task ended = make_task(instructions(code));
    ended.frame.trap.ax = attack_call;
    ended.frame.trap.flags |= X86_FLAGS_TF;
    run_task(ended);
    // Behind the first NOP; behind SYSCALL and the NOP that IRET lets run; behind the last.
    constexpr uintptr_t expected[] = {1, 4, 5};
    for (unsigned i = 0; i < 3; ++i)
        if (steps[i] != expected[i])
            fail("the place of a step", expected[i], steps[i]);
    if (handled != 3)
        fail("steps", 3, handled);
    ++scene.count.boundaries;
    step_into_kernel();
}

// --- canonical ----------------------------------------------------------------------------------

void canonical() {
    set_attack_scene();
    constexpr uintptr_t end_of_half = uintptr_t{1} << 47;
    task which = make_task(instructions(syscall_code));
    which.frame.trap.ip = map_last_user_page() - sizeof(syscall_code);
    which.frame.trap.ax = attack_call;
    give_decoy(which);
    if (run_task_guarded(which))
        expect_fault(which, X86_VECTOR_GP, 0, end_of_half);
    ++scene.count.boundaries;
}

// --- returns that fault -------------------------------------------------------------------------

const bad_image* image;

/// The fault is the task's so much that the task goes on, and comes back.
void bad_return_becomes_signal() {
    constexpr uint8_t code[] = {0x0f, 0x05, 0x31, 0xc0, 0x0f, 0x05}; // syscall; exit by syscall
    image = &bad_images[0];
    task which = make_task(instructions(code));
    which.frame.trap.ax = attack_call;
    which.signal_handler = user_code + sizeof(syscall_code);
    which.on_system_call = [](task&, trap_frame& frame) { damage_image(frame, *image); };
    give_decoy(which);
    if (run_task_guarded(which) && (which.end != task_end::exited || which.value != X86_VECTOR_GP))
        fail("the signal of a return that faulted", X86_VECTOR_GP, which.value);
    ++scene.count.boundaries;
}

void bad_return() {
    set_attack_scene();
    for (const bad_image& each : bad_images) {
        image = &each;
        task which = make_task(instructions(syscall_code));
        which.frame.trap.ax = attack_call;
        which.on_system_call = [](task&, trap_frame& frame) { damage_image(frame, *image); };
        give_decoy(which);
        if (run_task_guarded(which))
            expect_fault(which, X86_VECTOR_GP, each.error, each.ip);
        ++scene.count.boundaries;
    }
    bad_return_becomes_signal();
}

// --- refused ------------------------------------------------------------------------------------

struct refused_image {
    uintptr_t cs, ss, flags;
    user::refusal why;
};

constexpr uintptr_t good_cs = KERNEL_USER_CODE_SELECTOR;
constexpr uintptr_t good_ss = KERNEL_USER_DATA_SELECTOR;

constexpr refused_image refused_images[] = {
    {KERNEL_CODE_SELECTOR, good_ss, user::fixed_user_flags, user::refusal::code_level},
    {good_cs, KERNEL_USER_STACK_16_SELECTOR, user::fixed_user_flags, user::refusal::stack_segment},
    {good_cs, 0, user::fixed_user_flags, user::refusal::stack_segment},
    {good_cs, good_ss, X86_FLAGS_FIXED, user::refusal::flags},
    {good_cs, good_ss, user::fixed_user_flags | X86_FLAGS_IOPL, user::refusal::flags},
    {good_cs, good_ss, user::fixed_user_flags | X86_FLAGS_VIP, user::refusal::flags},
};

const refused_image* to_refuse;

void refused() {
    set_attack_scene();
    for (const refused_image& each : refused_images) {
        to_refuse = &each;
        task which = make_task(instructions(syscall_code));
        which.frame.trap.ax = attack_call;
        which.on_system_call = [](task&, trap_frame& frame) {
            frame.cs = to_refuse->cs;
            frame.ss = to_refuse->ss;
            frame.flags = to_refuse->flags;
        };
        give_decoy(which);
        if (!run_task_guarded(which))
            continue; // it ran in ring 0: said already
        if (which.end != task_end::refused || which.value != static_cast<uintptr_t>(each.why))
            fail("why the image was refused", static_cast<uintptr_t>(each.why), which.value);
        ++scene.count.boundaries;
    }
    if (option("without") != "user-refusal")
        expect_refused_in_debug();
}

constexpr attack attacks[] = {
    {"first-event", first_event, {"user-gap", "user-gs"}},
    {"last-event", last_event, {"user-gap"}},
    {"mov-ss", attack_behind_mov_ss, {}}, // this and canonical: on Bochs only
    {"at-entry", attack_at_entry, {}},    // its control alone: first-event's leaves counts behind
    {"flags", flags, {"user-mask"}},
    {"step", step, {"user-step"}},
    {"canonical", canonical, {"user-canonical"}},
    {"bad-return", bad_return, {"user-fixup"}},
    {"bad-nmi-return", attack_by_nmi_return, {"user-fixup", "user-unblocking"}},
    {"refused", refused, {"user-refusal"}},
};

} // namespace

void user_attacks() {
    run_attacks(attacks);
}

} // namespace kernel
#endif // __x86_64__
