// SPDX-License-Identifier: MIT
// hostile-tasks: random tasks in user mode try what they can, beside NMIs from another CPU whose
// handler hits INT3. Nothing they do may stop or mislead the kernel, and nothing of the kernel's,
// nor of an NMI that came, may be in any register or page of theirs:
//
//   - Each is first sent to an INT 0x80 that does nothing else: what the kernel then finds in the
//   frame is
//     what it has put into it, or the return has faulted, with everything as it was.
//   - The same with the CPU's own system call, which goes back by SYSRET or SYSEXIT, before that INT 0x80.
//   - Each is run twice from the same beginning: both runs end alike, in registers and pages. It goes on behind its
//     first system call, whichever that is, and ends at its second.
//   - A task that cannot compute has no kernel address in its registers that it was not given.
//
// Options: seed=<number of the first task> tasks=<how many>.
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/user/hostile_checks.hpp"
#include "kernel/experiments/user/hostile_code.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "kernel/user/task.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constexpr uint32_t customary_tasks = 10000;
constexpr uint32_t longest_run = 3; // ticks
constexpr uint32_t enough_failures = 20;
constexpr uint32_t most_nmis_in_run = 16;

hostile_pages memory;
hostile_task subject;
shared_flag stop_sending;
shared_count runs;
uint32_t ticks_in_run;
uint32_t cut_short;
uint32_t entered;          // runs that got as far as an event of user code's own
uint32_t went_on;          // runs that went on behind a system call of the CPU's own
uint32_t last_system_call; // at which a run ends

// --- NMIs and the tick ---------------------------------------------------------------------------

void hit_breakpoint_in_nmi(x86::trap_frame&) {
    hit_breakpoint();
}

/// The other CPU: an NMI, and the next soon after it has been taken; but only so many in one run of
/// a task, because under QEMU an NMI takes long where there are watchpoints, and nothing else would
/// be done any more.
void send_nmis(void*) {
    uint32_t run_of_latest = 0;
    uint32_t sent_in_run = 0;
    while (!stop_sending) {
        for (unsigned i = 0; i < 20; ++i)
            wait_a_little();
        const uint32_t now = runs;
        sent_in_run = now == run_of_latest ? sent_in_run + 1 : 0;
        run_of_latest = now;
        if (sent_in_run > most_nmis_in_run)
            continue;
        const uint32_t ticket = scene.sender_tickets + 1;
        scene.sender_tickets = ticket;
        ++scene.count.raised;
        send_nmi(0);
        if (!wait_for([ticket] { return scene.sender_honoured == ticket; }))
            ++scene.count.lost;
    }
}

/// In ring 0 none but the NMI's breakpoint and a #DB that comes too late for the task, as the first
/// event in the kernel.
bool on_exception(x86::trap_frame& frame) {
    if (handle_user_exception(frame))
        return true;
    static_cast<void>(expect_own_gs("GS in a handler"));
    if (frame.vector == X86_VECTOR_BP)
        return handle_scene_breakpoint(frame);
    if (frame.vector == X86_VECTOR_DB)
        return true;
    fail("an exception in ring 0: vector, IP", frame.vector, frame.ip);
    abandon_task();
}

bool on_page_fault(x86::trap_frame& frame, uintptr_t address) {
    if (handle_user_page_fault(frame, address))
        return true;
    static_cast<void>(expect_own_gs("GS in a handler"));
    fail("a page fault in ring 0", frame.ip, address);
    abandon_task();
}

/// A task may go on for ever.
bool on_tick(x86::trap_frame& frame) {
    end_of_interrupt();
    if (++ticks_in_run >= longest_run && user::is_from_user(frame))
        end_task(task_end::none, frame);
    return true;
}

// --- what a task ends with -----------------------------------------------------------------------

struct outcome {
    user::user_frame frame;
    uintptr_t end, value, address;
    uintptr_t system_calls;
    uintptr_t sum; // of the pages
    uintptr_t fs_base, gs_base, ds, es, fs, gs;
};

/// By the tick; or by whatever event came first after the task had loaded another stack segment, as
/// it may, but no event can return to.
bool is_cut_short(const outcome& end) {
    return end.end == static_cast<uintptr_t>(task_end::none) ||
           (end.end == static_cast<uintptr_t>(task_end::refused) &&
            end.value == static_cast<uintptr_t>(user::refusal::stack_segment));
}

uintptr_t sum_of(const uint8_t* page, uintptr_t sum) {
    const auto* words = reinterpret_cast<const uintptr_t*>(page);
    for (unsigned i = 0; i < page_size / sizeof(uintptr_t); ++i)
        sum = sum * 31 + words[i];
    return sum;
}

#ifdef __x86_64__

/// The segment registers that are not in a frame. SWAPGS around GS: it holds the kernel's.
/// Interrupts off; an NMI does not care.
void clear_user_segments() {
    asm volatile("mov %[null], %%ds\n\t"
                 "mov %[null], %%es\n\t"
                 "mov %[null], %%fs\n\t"
                 "swapgs\n\t"
                 "mov %[null], %%gs\n\t"
                 "swapgs"
                 :
                 : [null] "r"(0)
                 : "memory");
}

void read_user_segments(outcome& end) {
    asm volatile("mov %%ds, %[ds]\n\tmov %%es, %[es]\n\tmov %%fs, %[fs]\n\tmov %%gs, %[gs]"
                 : [ds] "=r"(end.ds), [es] "=r"(end.es), [fs] "=r"(end.fs), [gs] "=r"(end.gs));
    end.fs_base = x86::read_msr(X86_MSR_FS_BASE);
    end.gs_base = x86::read_msr(X86_MSR_KERNEL_GS_BASE);
}

#else

void clear_user_segments() {}
void read_user_segments(outcome&) {}

#endif

/// Lets the tick in between tasks, never in their preparation.
void take_tick() {
    x86::enable_interrupts();
    asm volatile("nop");
    x86::disable_interrupts();
}

/// A null selector may have any RPL, until an IRET to ring 3, be it an NMI's, makes it 0.
/// [intel/vol2 IRET]
template <typename Word>
void forget_null(Word& selector) {
    if ((selector & 0xfffc) == 0)
        selector = 0;
}

void forget_null_selectors(outcome& end) {
    for (uintptr_t* const which : {&end.ds, &end.es, &end.fs, &end.gs})
        forget_null(*which);
#ifdef __i386__
    for (uint32_t* const which : {&end.frame.ds, &end.frame.es, &end.frame.fs, &end.frame.gs})
        forget_null(*which);
#endif
}

void end_on_system_call(task& which, x86::trap_frame& frame) {
    if (which.system_calls >= last_system_call)
        end_task(task_end::exited, frame);
}

outcome run(bool watched, uint32_t system_calls) {
    last_system_call = system_calls;
    task which{};
    which.space = memory.space;
    which.frame = subject.frame;
#ifdef __x86_64__
    which.fs_base = subject.fs_base;
    which.gs_base = subject.gs_base;
#endif
    which.on_system_call = end_on_system_call;
    take_tick();
    ticks_in_run = 0;
    ++runs;
    clear_user_segments();
    if (watched && subject.debug_control != X86_DR7_DISARMED) {
        for (unsigned number = 0; number < 4; ++number)
            x86::write_breakpoint_address(number, subject.watched[number]);
        trap::set_debug_control(subject.debug_control);
    }
    static_cast<void>(run_task_guarded(which));
    outcome end{};
    read_user_segments(end);
    if (this_cpu().nmisafe.debug_control != X86_DR7_DISARMED)
        trap::set_debug_control(X86_DR7_DISARMED);
    end.frame = which.frame;
    forget_null_selectors(end);
    end.end = static_cast<uintptr_t>(which.end);
    end.value = which.value;
    end.system_calls = which.system_calls;
    end.address = which.end == task_end::faulted ? which.address : 0;
    return end;
}

// --- the checks ---------------------------------------------------------------------------------

bool ran_to_the_end(const outcome& end) {
    return end.frame.trap.vector == static_cast<uint8_t>(vector::system_call);
}

constexpr unsigned int_80_size = 2;

void expect_echo() {
    const x86::trap_frame registers = subject.frame.trap;
    if (registers.ax == static_cast<uintptr_t>(system_call::signal_return))
        subject.frame.trap.ax = 0; // an echo, nothing else
    subject.frame.trap.ip = memory.code.address + echo_offset;
    outcome end = run(false, 1);
    if (!is_cut_short(end)) {
        user::user_frame expected = subject.frame;
        const bool ran = ran_to_the_end(end);
        entered += ran;
        expected.trap.ip += ran ? int_80_size : 0;
        expect_same_frame(expected, end.frame);
    }
    subject.frame.trap = registers;
}

/// Of those that get that far: how the first return may fail is the other echo's.
void expect_fast_echo() {
    const x86::trap_frame registers = subject.frame.trap;
    x86::trap_frame& trap = subject.frame.trap;
    trap.ax |= 2; // neither exit nor a signal's return
    trap.ip = memory.code.address + fast_echo_offset;
    const uintptr_t behind = trap.ip + fast_call_size;
#ifdef __i386__
    trap.cx = subject.frame.sp(); // where SYSEXIT goes
    trap.dx = behind;
#endif
    outcome end = run(false, 2);
    if (!is_cut_short(end) && ran_to_the_end(end) && end.system_calls == 2) {
        user::user_frame expected = subject.frame;
        ++went_on;
        expected.trap.ip = behind + int_80_size;
        expected.trap.cs = KERNEL_USER_CODE_SELECTOR;
#ifdef __x86_64__
        expected.trap.cx = behind;
        expected.trap.r11 = end.frame.trap.flags;
#endif
        expect_same_frame(expected, end.frame);
    }
    subject.frame.trap = registers;
}

void add_pages(outcome& end) {
    end.sum = sum_of(memory.code.contents, 0);
    end.sum = sum_of(memory.stack.contents, end.sum);
    end.sum = sum_of(memory.data.contents, end.sum);
}

void expect_same_outcome(const outcome& first, const outcome& second) {
    const auto* const before = reinterpret_cast<const uintptr_t*>(&first);
    const auto* const after = reinterpret_cast<const uintptr_t*>(&second);
    for (unsigned i = 0; i < sizeof(outcome) / sizeof(uintptr_t); ++i)
        if (before[i] != after[i]) {
            fail_task("a task that is run again ends otherwise", before[i], after[i]);
            if (scene.count.failures <= 5)
                print("@fail word=", i, "\n");
            return;
        }
}

bool is_in(const user_page& page, uintptr_t address) {
    return address - page.address < page_size;
}

void expect_no_kernel_address(const outcome& end) {
    const bool from_the_start = subject.frame.trap.ip == memory.code.address;
    if (!subject.is_listed || !from_the_start || is_in(memory.stack, end.frame.trap.ip) ||
        is_in(memory.data, end.frame.trap.ip))
        return;
    const x86::trap_frame& trap = end.frame.trap;
    const uintptr_t registers[] = {
        trap.ax, trap.bx,     trap.cx,  trap.dx,  trap.si,  trap.di,  trap.bp,  trap.ip,
#ifdef __x86_64__
        trap.r8, trap.r9,     trap.r10, trap.r11, trap.r12, trap.r13, trap.r14, trap.r15,
        trap.sp, end.fs_base,
#else
        end.frame.user_sp,
#endif
    };
    for (const uintptr_t value : registers)
        if (!may_have(subject, memory, value))
            fail_task("a kernel address in a task", 0, value);
}

void try_task(uint32_t number) {
    begin_checks_of_task(number);
    make_hostile_task(number, memory, subject);
    expect_echo();
    expect_fast_echo();
    outcome first = run(true, 2);
    add_pages(first);
    remake_hostile_pages(number, memory);
    outcome second = run(true, 2);
    add_pages(second);
    if (is_cut_short(first) || is_cut_short(second)) {
        ++cut_short;
        return;
    }
    expect_same_outcome(first, second);
    expect_no_kernel_address(first);
}

/// What differs from one run to the next, or outlives it, is not for tasks: the time, x87 and SSE.
void forbid_what_differs() {
    x86::write_cr4(x86::read_cr4() | X86_CR4_TSD);
    uintptr_t value;
    asm volatile("mov %%cr0, %[value]" : [value] "=r"(value));
    asm volatile("mov %[value], %%cr0"
                 :
                 : [value] "r"(value | X86_CR0_EM | X86_CR0_MP | X86_CR0_TS));
}

void set_handlers() {
    for (unsigned vector = 0; vector < X86_EXCEPTION_VECTORS; ++vector)
        if (vector != X86_VECTOR_NMI && vector != X86_VECTOR_PF && vector != X86_VECTOR_DF)
            trap::set_handler(static_cast<uint8_t>(vector), on_exception);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(static_cast<uint8_t>(vector::tick), on_tick);
}

void run_tasks() {
    const uint32_t first = option_number("seed", 1);
    const uint32_t count = option_number("tasks", customary_tasks);
    for (uint32_t i = 0; i < count && scene.count.failures < enough_failures; ++i) {
        try_task(first + i);
        ++scene.count.boundaries;
    }
}

} // namespace

void hostile_tasks() {
    set_user_scene(hit_breakpoint_in_nmi);
    scene.distrusts_sp =
        true; // SYSCALL's first instructions run with the task's, which may be in the NMI's stack
    set_handlers();
    forbid_what_differs();
    memory = make_hostile_pages();
    preempt_disable();
    run_on(1, send_nmis, nullptr);
    start_tick();
    x86::disable_interrupts();
    run_tasks();
    x86::enable_interrupts();
    stop_tick();
    stop_sending = true;
    preempt_enable();
    wait(1);
    if (entered < scene.count.boundaries / 4)
        fail("tasks that got into user mode", scene.count.boundaries / 4, entered);
    if (went_on < scene.count.boundaries / 4)
        fail("tasks behind a system call", scene.count.boundaries / 4, went_on);
    if (cut_short > scene.count.boundaries / 8)
        fail("tasks that had to be cut short", scene.count.boundaries / 8, cut_short);
    print_row(nullptr, false, {"cut_short", cut_short});
}

} // namespace kernel
