// SPDX-License-Identifier: MIT
#include "kernel/threads/thread.hpp"
#include "kernel/devices/wake.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/section_end.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/events/emit.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/user_tables.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace x86 = nmisafe::x86;
namespace context = nmisafe::context;

/// A thread is `ending` until its CPU has left its stack for good, and only then `ended`.
/// No enum class: clang 14 refuses one in an atomic operation.
namespace thread_state {
enum : uint32_t { unused, running, ending, ended };
}

struct thread {
    uintptr_t sp;           ///< While it does not run: what switch_stacks() left on its stack.
    uint32_t preempt_count; ///< While it does not run.
    uint32_t cpu_id;
    uint32_t state; ///< One of thread_state.
    address_space* space;
    thread* next; ///< In its CPU's ring of threads that can run.
    thread_function function;
    void* argument;
    task* running_task; ///< In user mode and from it; null for most threads.
    uintptr_t user_stack_top;
    uintptr_t user_bases[2]; ///< x86-64, while it does not run: FS and GS base of the task.
    uintptr_t stack_top;     ///< Kept when the thread is reused; 0 for a CPU's first thread.
    uintptr_t shadow_stack;
    uintptr_t user_shadow_stack; ///< The token in it for events from user mode.
    const char* name;            ///< And the number: for traces.
    int32_t tid;
};

// switch_x86_*.S
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void kernel_switch_stacks(uintptr_t* saved_sp,
                                                               uintptr_t new_sp);
extern "C" [[NMISAFE_ASSEMBLY_CALL]] uintptr_t kernel_prepare_stack(uintptr_t top,
                                                                    uintptr_t shadow_token);
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_thread_begin();

namespace {

constexpr unsigned most_threads = 64;

thread first_threads[most_cpus];
thread pool[most_threads];
int32_t next_tid = 2;
spinlock pool_lock; // of both

// Guards the ring of one CPU: other CPUs put new threads into it.
spinlock ring_locks[most_cpus];

/// The first thing on the new thread's stack: the one before it may now be freed.
void finish_switch() {
    thread& before = *this_cpu().switched_from;
    if (before.state == thread_state::ending)
        __atomic_store_n(&before.state, uint32_t{thread_state::ended}, __ATOMIC_RELEASE);
}

/// What the CPU holds of a task beside what its frames have.
void save_task_registers([[maybe_unused]] thread& previous) {
#ifdef __x86_64__
    previous.user_bases[0] = x86::read_msr(X86_MSR_FS_BASE);
    previous.user_bases[1] = x86::read_msr(X86_MSR_KERNEL_GS_BASE);
#endif
}
void load_task_registers(cpu& mine, thread& next) {
#ifdef __x86_64__
    x86::write_msr(X86_MSR_FS_BASE, next.user_bases[0]);
    x86::write_msr(X86_MSR_KERNEL_GS_BASE, next.user_bases[1]);
#endif
    set_user_stack_top(mine, next.user_stack_top);
#ifdef NMISAFE_SHADOW_STACK
    if (uses_shadow_stacks())
        nmisafe::user::set_shadow_stack(mine.user, next.user_shadow_stack);
#endif
}

constexpr int32_t only_priority = 20;

/// As Linux numbers what becomes of the previous thread: it can run, or never will again.
void trace_switch(const thread& previous, const thread& next) {
    constexpr int64_t dead = 0x40;
    emit<nmisafe::tracer::events::sched_switch>(previous.name, previous.tid, only_priority,
                                                previous.state == thread_state::ending ? dead
                                                                                       : int64_t{0},
                                                next.name, next.tid, only_priority);
}

/// Switches to the next thread of the ring. Interrupts off; comes back when it is this one's turn.
void schedule() {
    cpu& mine = this_cpu();
    mine.need_resched = 0;
    note_end_of_section(); // and so the word has nobody_waits, whichever thread's it is
    thread* const previous = mine.current;
    ring_locks[mine.id].lock();
    thread* const next = previous->next;
    if (previous->state == thread_state::ending) {
        thread* before = next;
        while (before->next != previous)
            before = before->next;
        before->next = next;
    }
    ring_locks[mine.id].unlock();
    if (next == previous)
        return;
    if (next->space != previous->space) {
        set_page_tables(mine, *next->space);
        switch_to(*next->space);
    }
    if (previous->running_task != nullptr)
        save_task_registers(*previous);
    if (next->running_task != nullptr)
        load_task_registers(mine, *next);
    trace_switch(*previous, *next);
    mine.tracer->tid = next->tid;
    // An NMI between any two of these lines finds a count, and gives back the one it found: each is
    // the count of a thread that is not in an NMI.
    mine.switched_from = previous;
    mine.current = next;
    previous->preempt_count = mine.preempt_count;
    mine.preempt_count = next->preempt_count;
    kernel_switch_stacks(&previous->sp, next->sp);
    finish_switch();
}

thread& unused_thread() {
    const locked hold(pool_lock);
    for (thread& candidate : pool)
        if (candidate.state == thread_state::unused) {
            candidate.state = thread_state::running;
            candidate.tid = next_tid++;
            return candidate;
        }
    panic("too many threads", nullptr, most_threads);
}

} // namespace

/// Where a new thread begins, on its own stack and with interrupts off.
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_thread_begin() {
    finish_switch();
    x86::enable_interrupts();
    const thread& self = *this_cpu().current;
    self.function(self.argument);
    exit();
}

void set_up_threads() {
    cpu& mine = this_cpu();
    thread& first = first_threads[mine.id];
    first.cpu_id = mine.id;
    first.state = thread_state::running;
    first.space = &kernel_space();
    first.next = &first;
    first.name = mine.id == 0 ? "main" : "idle";
    first.tid = mine.id == 0 ? 1 : 0; // idle is what Linux calls 0 on every CPU
    mine.tracer->tid = first.tid;
    mine.current = &first;
}

thread* create_thread(uint32_t cpu_id, thread_function function, void* argument,
                      address_space* space, const char* name) {
    thread& created = unused_thread();
    if (created.stack_top == 0)
        created.stack_top = allocate_stack();
    uintptr_t shadow_token = 0;
#ifdef NMISAFE_SHADOW_STACK
    if (uses_shadow_stacks()) {
        if (created.shadow_stack == 0)
            created.shadow_stack = allocate_shadow_stack();
        shadow_token = prepare_shadow_stack(created.shadow_stack,
                                            reinterpret_cast<uintptr_t>(kernel_thread_begin));
    }
#endif
    created.sp = kernel_prepare_stack(created.stack_top, shadow_token);
    created.preempt_count = nobody_waits;
    created.cpu_id = cpu_id;
    created.space = space == nullptr ? &kernel_space() : space;
    created.function = function;
    created.argument = argument;
    created.name = name;
    emit<nmisafe::tracer::events::sched_wakeup>(name, created.tid, only_priority,
                                                static_cast<int32_t>(cpu_id));
    {
        const locked hold(ring_locks[cpu_id]);
        thread& first = first_threads[cpu_id];
        created.next = first.next;
        first.next = &created;
    }
    if (cpu_id != this_cpu().id)
        wake(cpu_id);
    return &created;
}

void join(thread* which) {
    const uint32_t begin = ticks();
    uint32_t wakes = 0;
    while (__atomic_load_n(&which->state, __ATOMIC_ACQUIRE) != thread_state::ended) {
        if (which->cpu_id == this_cpu().id)
            yield();
        else
            wake_again(which->cpu_id, begin, wakes);
    }
    __atomic_store_n(&which->state, uint32_t{thread_state::unused}, __ATOMIC_RELEASE);
}

void exit() {
    x86::disable_interrupts();
    this_cpu().current->state = thread_state::ending;
    schedule();
    __builtin_unreachable(); // no longer in the ring
}

void yield() {
    const interrupts_off off;
    schedule();
}

const address_space& thread_space() {
    return *this_cpu().current->space;
}

void begin_task_on_thread(task& which, address_space& space) {
    thread& mine = *this_cpu().current;
    mine.running_task = &which;
    mine.space = &space;
    set_page_tables(this_cpu(), space);
    switch_to(space);
}

void end_task_on_thread() {
    thread& mine = *this_cpu().current;
    mine.running_task = nullptr;
    mine.space = &kernel_space();
    set_page_tables(this_cpu(), kernel_space());
    switch_to(kernel_space());
}

task* thread_task() {
    return this_cpu().current->running_task;
}

uintptr_t thread_user_stack_top() {
    return this_cpu().current->user_stack_top;
}

void set_thread_user_stack_top(uintptr_t top) {
    this_cpu().current->user_stack_top = top;
    set_user_stack_top(this_cpu(), top);
}

#ifdef NMISAFE_SHADOW_STACK
void set_thread_user_shadow_stack(uintptr_t token) {
    this_cpu().current->user_shadow_stack = token;
    nmisafe::user::set_shadow_stack(this_cpu().user, token);
}
#endif

bool others_ready() {
    const thread* const current = this_cpu().current;
    return __atomic_load_n(&current->next, __ATOMIC_RELAXED) != current;
}

void preempt_if_due() {
    if (this_cpu().need_resched != 0 && context::preempt_count() == 0)
        schedule();
}

void preempt_enable() {
    context::preempt_enable_no_resched();
    if (this_cpu().need_resched == 0 || (x86::read_flags() & X86_FLAGS_IF) == 0)
        return;
    const interrupts_off off;
    preempt_if_due();
}

void note_tick() {
    cpu& mine = this_cpu();
    mine.need_resched = 1;
    mine.ticks += 1;
}

uint32_t tick_count() {
    return __atomic_load_n(&this_cpu().ticks, __ATOMIC_RELAXED);
}

} // namespace kernel
