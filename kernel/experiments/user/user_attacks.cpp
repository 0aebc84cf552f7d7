// SPDX-License-Identifier: MIT
// user-attacks: what a hostile task tries, by name.
//
//   first-event   #DB as the first event in the kernel, with the task's GS and RSP, which points into the
//                 kernel. Made by a mask of SYSCALL that leaves TF: on a CPU MOV SS does it (CVE-2018-8897)
//   mov-ss        the same with MOV SS under a watchpoint before SYSCALL, INT3 and INT 0x80
//   flags         SYSCALL with TF, NT, DF and AC set
//   step          single steps over SYSCALL, and of jumps to where the kernel takes frames back by an instruction
//   canonical     SYSCALL at the end of the user's half: SYSRET there would fault in ring 0, on the task's stack
//   bad-return    an image whose CS or RIP makes IRET fault (CVE-2015-5157)
//   bad-nmi-return the same when an NMI returns to the task; NMIs are unblocked all the same
//   refused       images of ring 0, with another stack segment (CVE-2015-3290), without IF, with IOPL
#ifdef __x86_64__
#include "kernel/boot/layout.h"
#include "kernel/console/command_line.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint8_t syscall_code[] = {0x0f, 0x05};
constexpr uintptr_t nothing = 100; // a system call that does nothing
constexpr uintptr_t canary = 0x5a5a5a5a5a5a5a5a;

uint32_t handled;

/// Exceptions in ring 0 where there must be none: the task has led the kernel astray.
bool on_exception(trap_frame& frame) {
    if (handle_user_exception(frame))
        return true;
    static_cast<void>(expect_own_gs("GS in a handler"));
    fail("an exception in ring 0: vector, IP", frame.vector, frame.ip);
    abandon_task();
}

void begin() {
    set_user_scene(nullptr);
    for (const int vector : {X86_VECTOR_DB, X86_VECTOR_UD, X86_VECTOR_GP, 10, 11, 12})
        trap::set_handler(static_cast<uint8_t>(vector), on_exception);
    handled = 0;
}

// --- first-event --------------------------------------------------------------------------------

uintptr_t kernel_words[8]; // where the task's RSP points

bool end_step_in_kernel(trap_frame& frame) {
    ++handled;
    static_cast<void>(expect_own_gs("GS in #DB"));
    frame.flags &= ~uint64_t{X86_FLAGS_TF};
    const bool in_entry = frame.ip >= reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall) &&
                          frame.ip < reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall_on_stack);
    if (!user::is_from_user(frame) && !in_entry)
        fail("where #DB came", reinterpret_cast<uintptr_t>(user::nmisafe_user_syscall), frame.ip);
    return true;
}

void first_event() {
    begin();
    trap::set_handler(X86_VECTOR_DB, end_step_in_kernel);
    x86::write_msr(X86_MSR_SYSCALL_MASK, user::syscall_mask & ~uintptr_t{X86_FLAGS_TF});
    for (auto& word : kernel_words)
        word = canary;
    task begun = make_task(instructions(syscall_code));
    begun.frame.trap.ax = nothing;
    begun.frame.trap.sp = reinterpret_cast<uintptr_t>(&kernel_words[8]);
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
    for (const uintptr_t word : kernel_words)
        if (word != canary)
            fail("a word of the kernel's", canary, word);
    user::set_up_syscalls(KERNEL_CODE_SELECTOR);
    ++scene.count.boundaries;
}

// --- mov-ss -------------------------------------------------------------------------------------

/// MOV SS from the watched word, and an entry right behind: the #DB comes in the task or in the kernel.
bool on_watched(trap_frame& frame) {
    ++handled;
    static_cast<void>(expect_own_gs("GS in #DB"));
    return frame.vector == X86_VECTOR_DB;
}

void mov_ss() {
    begin();
    constexpr uint8_t with_syscall[] = {0x8e, 0x13, 0x0f, 0x05}; // mov (%rbx), %ss; syscall
    constexpr uint8_t with_int3[] = {0x8e, 0x13, 0xcc};
    constexpr uint8_t with_int[] = {0x8e, 0x13, 0xcd, 0x80};
    constexpr uintptr_t watch_word = X86_DR7_DISARMED | 1 | 0x70000; // DR0, 2 bytes, read or written
    trap::set_handler(X86_VECTOR_BP, [](trap_frame&) { return true; });
    trap::set_handler(X86_VECTOR_DB, on_watched);
    for (const auto code : {instructions(with_syscall), instructions(with_int3),
                            instructions(with_int)}) {
        task begun = make_task(code);
        begun.frame.trap.ax = nothing;
        begun.frame.trap.bx = user_data;
        begun.frame.trap.sp = reinterpret_cast<uintptr_t>(&kernel_words[8]);
        give_decoy(begun);
        *static_cast<uint16_t*>(in_user_memory(user_data)) = KERNEL_USER_DATA_SELECTOR;
        for (auto& word : kernel_words)
            word = canary;
        x86::write_breakpoint_address(0, user_data);
        trap::set_debug_control(watch_word);
        handled = 0;
        task ended = begun;
        const bool completed = run_task_guarded(ended);
        trap::set_debug_control(X86_DR7_DISARMED);
        if (completed)
            expect_end(begun, ended, code, USER_REGISTER(cx) | USER_REGISTER(r11));
        // Bochs drops a #DB that INT n is due to be preceded by.
        const bool is_syscall = code.bytes[2] == syscall_code[0];
        if (handled > 1 || (is_syscall && handled == 0))
            fail("hits of the watched word", 1, handled);
        for (const uintptr_t word : kernel_words)
            if (word != canary)
                fail("a word of the kernel's", canary, word);
        ++scene.count.boundaries;
    }
}

// --- flags and step -----------------------------------------------------------------------------

void flags() {
    begin();
    constexpr uintptr_t hostile = X86_FLAGS_NT | X86_FLAGS_DF | X86_FLAGS_AC | X86_FLAGS_ID;
    task begun = make_task(instructions(syscall_code));
    begun.frame.trap.ax = nothing;
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
    constexpr uint8_t jump[] = {0xff, 0xe0}; // jmp *%rax
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
    begin();
    constexpr uint8_t code[] = {0x90, 0x0f, 0x05, 0x90, 0x90}; // nop; syscall; nop; nop
    trap::set_handler(X86_VECTOR_DB, note_step);
    task ended = make_task(instructions(code));
    ended.frame.trap.ax = nothing;
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
    begin();
    constexpr uintptr_t end_of_half = uintptr_t{1} << 47;
    task which = make_task(instructions(syscall_code));
    which.frame.trap.ip = map_last_user_page() - sizeof(syscall_code);
    which.frame.trap.ax = nothing;
    give_decoy(which);
    if (run_task_guarded(which))
        expect_fault(which, X86_VECTOR_GP, 0, end_of_half);
    ++scene.count.boundaries;
}

// --- returns that fault -------------------------------------------------------------------------

struct bad_image {
    uintptr_t ip, cs;
    uintptr_t error; // of the #GP
};

constexpr bad_image bad_images[] = {
    {user_code, 0xfffb, 0xfff8},                                 // beyond the GDT
    {user_code, KERNEL_USER_DATA_SELECTOR, 0x20},                // no code
    {user_code, KERNEL_CODE_SELECTOR | 3, KERNEL_CODE_SELECTOR}, // the kernel's
    {user_code, 3, 0},                                           // none
    {uintptr_t{1} << 47, KERNEL_USER_CODE_SELECTOR, 0},          // not canonical
};

const bad_image* image;

void damage(trap_frame& frame) {
    frame.ip = image->ip;
    frame.cs = image->cs;
}

void bad_return() {
    begin();
    for (const bad_image& each : bad_images) {
        image = &each;
        task which = make_task(instructions(syscall_code));
        which.frame.trap.ax = nothing;
        which.on_system_call = [](task&, trap_frame& frame) { damage(frame); };
        give_decoy(which);
        if (run_task_guarded(which))
            expect_fault(which, X86_VECTOR_GP, each.error, each.ip);
        ++scene.count.boundaries;
    }
}

/// As if a descriptor had gone meanwhile. Not the scene's handler, which takes a changed frame for harm.
void damage_in_nmi(trap_frame& frame) {
    ++scene.count.handled;
    if (user::is_from_user(frame))
        damage(frame);
}

void bad_nmi_return() {
    // mov %esi, (%rdi): the local APIC's command; a jump, behind which QEMU looks for NMIs
    constexpr uint8_t write_word[] = {0x89, 0x37, 0xeb, 0x00, 0x90};
    begin();
    trap::set_nmi_handler(damage_in_nmi);
    for (const bad_image& each : bad_images) {
        image = &each;
        task which = make_task(instructions(write_word));
        local_apic::command_high() = local_apic::id() & 0xff000000;
        which.frame.trap.di = user_apic + 0x300;
        which.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
        give_decoy(which);
        ++scene.count.raised;
        if (run_task_guarded(which))
            expect_fault(which, X86_VECTOR_GP, each.error, each.ip);
        // And the next NMI comes at once.
        const uint32_t before = scene.count.handled;
        raise_nmi_here();
        const uint32_t start = ticks();
        while (scene.count.handled == before && ticks() - start < ticks_in(100'000))
            wait_a_little();
        if (scene.count.handled == before)
            fail("NMIs after a return that faulted", before + 1, before);
        ++scene.count.boundaries;
    }
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
    begin();
    for (const refused_image& each : refused_images) {
        to_refuse = &each;
        task which = make_task(instructions(syscall_code));
        which.frame.trap.ax = nothing;
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
}

} // namespace

void user_attacks() {
    constexpr struct {
        text name;
        void (*run)();
        text controls[2]; // the defences without which it shows harm; mov-ss and canonical on Bochs only
    } parts[] = {
        {"first-event", first_event, {"user-gap", "user-gs"}},
        {"mov-ss", mov_ss, {}},
        {"flags", flags, {"user-mask"}},
        {"step", step, {"user-step"}},
        {"canonical", canonical, {"user-canonical"}},
        {"bad-return", bad_return, {"user-fixup"}},
        {"bad-nmi-return", bad_nmi_return, {"user-fixup", "user-unblocking"}},
        {"refused", refused, {"user-refusal"}},
    };
    x86::disable_interrupts();
    const text without = option("without");
    const text only = option("part");
    for (const auto& part : parts) {
        const bool is_control = without == part.controls[0] || without == part.controls[1];
        if (only.empty() ? without.empty() || is_control : only == part.name) {
            part.run();
            print_row(part.name.begin());
        }
    }
}

} // namespace kernel
#endif // __x86_64__
