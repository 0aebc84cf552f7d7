// SPDX-License-Identifier: MIT
#include "kernel/experiments/user/user_attacks_shared.hpp"

#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

uint32_t watched_hits;
const bad_image* image;

#ifdef __x86_64__
constexpr uintptr_t canary = 0x5a5a5a5a5a5a5a5a;
uintptr_t kernel_words[8];
#endif

/// Exceptions in ring 0 where there must be none: the task has led the kernel astray.
bool on_exception(trap_frame& frame) {
    if (handle_user_exception(frame))
        return true;
    static_cast<void>(expect_own_gs("GS in a handler"));
    fail("an exception in ring 0: vector, IP", frame.vector, frame.ip);
    abandon_task();
}

/// In the task, or in the kernel before its first instruction.
bool on_watched(trap_frame& frame) {
    ++watched_hits;
    static_cast<void>(expect_own_gs("GS in #DB"));
    return frame.vector == X86_VECTOR_DB;
}

uintptr_t entered; // the first instruction of an entry

bool on_entered(trap_frame& frame) {
    if (frame.ip != entered || user::is_from_user(frame))
        fail("where #DB came", entered, frame.ip);
    return on_watched(frame);
}

bool another_waits;

/// As if a descriptor had gone meanwhile. Not the scene's handler, which takes a changed frame for
/// harm.
void damage_in_nmi(trap_frame& frame) {
    ++scene.count.handled;
    static_cast<void>(expect_own_gs("GS in an NMI"));
    if (!user::is_from_user(frame))
        return;
    damage_image(frame, *image);
    if (another_waits) {
        another_waits = false; // QEMU comes to an address that is not canonical, and takes it there
        raise_nmi_here();
    }
}

} // namespace

void set_attack_scene() {
    set_user_scene(nullptr);
    for (const int vector : {X86_VECTOR_DB, X86_VECTOR_UD, X86_VECTOR_GP, 10, 11, 12})
        trap::set_handler(static_cast<uint8_t>(vector), on_exception);
}

void aim_nmi_at_self(task& which) {
    local_apic::command_high() = local_apic::id() & 0xff000000;
    which.frame.trap.di = user_apic + 0x300;
    which.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
    ++scene.count.raised;
}

void expect_next_nmi() {
    const uint32_t before = scene.count.handled;
    if (before != scene.count.raised)
        fail("NMIs of a return that faults", scene.count.raised, before);
    raise_nmi_here();
    const uint32_t start = ticks();
    while (scene.count.handled == before && ticks() - start < ticks_in(100'000))
        wait_a_little();
    if (scene.count.handled == before)
        fail("NMIs after a return that faulted", before + 1, before);
}

void damage_image(trap_frame& frame, const bad_image& which) {
    frame.ip = which.ip;
    frame.cs = which.cs;
#ifdef __i386__
    user::user_frame& all = user::user_frame_of(frame);
    all.ds = all.es = all.fs = all.gs = which.data;
#endif
}

#ifdef __x86_64__

void aim_stack_at_kernel(task& which) {
    for (auto& word : kernel_words)
        word = canary;
    which.frame.trap.sp = reinterpret_cast<uintptr_t>(&kernel_words[8]);
}

void expect_kernel_words() {
    for (const uintptr_t word : kernel_words)
        if (word != canary)
            fail("a word of the kernel's", canary, word);
}

#endif

void expect_refused_in_debug() {
    constexpr uintptr_t reserved_flag = 1 << 22;
    constexpr uint8_t code[] = {0x90, 0x90}; // nop; nop
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        if (!user::is_from_user(frame))
            return on_exception(frame);
        frame.flags |= reserved_flag;
        return true;
    });
    task which = make_task(instructions(code));
    which.frame.trap.flags |= X86_FLAGS_TF;
    static_cast<void>(run_task_guarded(which));
    if (which.end != task_end::refused ||
        which.value != static_cast<uintptr_t>(user::refusal::flags))
        fail("why the image of a #DB was refused", static_cast<uintptr_t>(user::refusal::flags),
             which.value);
    trap::set_handler(X86_VECTOR_DB, on_exception);
    ++scene.count.boundaries;
}

void attack_behind_mov_ss() {
    set_attack_scene();
    // mov (%rbx), %ss, and the entry
#ifdef __x86_64__
    constexpr uint8_t with_syscall[] = {0x8e, 0x13, 0x0f, 0x05};
    constexpr uint32_t changed = USER_REGISTER(cx) | USER_REGISTER(r11);
#else
    constexpr uint8_t with_syscall[] = {0x8e, 0x13, 0x0f, 0x34};
    constexpr uint32_t changed = 0;
#endif
    constexpr uint8_t with_int3[] = {0x8e, 0x13, 0xcc};
    constexpr uint8_t with_int[] = {0x8e, 0x13, 0xcd, 0x80};
    // DR0, 2 bytes, read or written
    constexpr uintptr_t watch_word = X86_DR7_DISARMED | 1 | 0x70000;
    trap::set_handler(X86_VECTOR_BP, [](trap_frame&) { return true; });
    trap::set_handler(X86_VECTOR_DB, on_watched);
    for (const auto code :
         {instructions(with_syscall), instructions(with_int3), instructions(with_int)}) {
        task begun = make_task(code);
        begun.frame.trap.ax = attack_call;
        begun.frame.trap.bx = user_data;
#ifdef __x86_64__
        aim_stack_at_kernel(begun);
#else
        begun.frame.trap.dx = user_code + code.size;
        begun.frame.trap.cx = begun.frame.sp();
#endif
        give_decoy(begun);
        *static_cast<uint16_t*>(in_user_memory(user_data)) = KERNEL_USER_DATA_SELECTOR;
        x86::write_breakpoint_address(0, user_data);
        trap::set_debug_control(watch_word);
        watched_hits = 0;
        task ended = begun;
        const bool completed = run_task_guarded(ended);
        trap::set_debug_control(X86_DR7_DISARMED);
        if (completed)
            expect_end(begun, ended, code, changed);
        // Bochs drops a #DB that INT3 or INT n is due to be preceded by: of these two nothing is shown.
        const bool is_syscall = code.bytes[2] == with_syscall[2];
        if (watched_hits > 1 || (is_syscall && watched_hits == 0))
            fail("hits of the watched word", 1, watched_hits);
#ifdef __x86_64__
        expect_kernel_words();
#endif
        ++scene.count.boundaries;
    }
}

/// On a CPU MOV SS under a watchpoint leads there. Here a breakpoint on the entry's first instruction.
void attack_at_entry() {
    constexpr uint8_t int3_code[] = {0xcc};
    constexpr uint8_t int_80_code[] = {0xcd, 0x80};
    const struct {
        user_instructions code;
        uint8_t vector;
    } entries[] = {{instructions(int3_code), X86_VECTOR_BP}, {instructions(int_80_code), 0x80}};
    set_attack_scene();
    trap::set_handler(X86_VECTOR_BP, [](trap_frame&) { return true; });
    trap::set_handler(X86_VECTOR_DB, on_entered);
    for (const auto& [code, vector] : entries) {
        task begun = make_task(code);
        begun.frame.trap.ax = attack_call;
        give_decoy(begun);
        entered = user::entry_address(vector);
        x86::write_breakpoint_address(0, entered);
        trap::set_debug_control(X86_DR7_DISARMED | 1); // DR0, on execution
        watched_hits = 0;
        task ended = begun;
        const bool completed = run_task_guarded(ended);
        trap::set_debug_control(X86_DR7_DISARMED);
        if (completed)
            expect_end(begun, ended, code);
        if (watched_hits != 1)
            fail("#DBs before the entry's first instruction", 1, watched_hits);
        ++scene.count.boundaries;
        if (scene.count.failures != 0)
            return; // a control, with another CPU's counts
    }
}

void attack_by_nmi_return() {
    // mov %esi, (%rdi): the local APIC's command; a jump, behind which QEMU looks for NMIs
    constexpr uint8_t write_word[] = {0x89, 0x37, 0xeb, 0x00, 0x90};
    set_attack_scene();
    trap::set_nmi_handler(damage_in_nmi);
    constexpr unsigned count = sizeof bad_images / sizeof bad_images[0];
    for (unsigned i = 0; i < 2 * count; ++i) {
        const bad_image& each = bad_images[i % count];
        another_waits = i >= count;
        image = &each;
        task which = make_task(instructions(write_word));
        aim_nmi_at_self(which);
        give_decoy(which);
        if (run_task_guarded(which))
            expect_fault(which, X86_VECTOR_GP, each.error, each.ip);
        expect_next_nmi();
        ++scene.count.boundaries;
    }
}

} // namespace kernel
