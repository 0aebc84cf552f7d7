// SPDX-License-Identifier: MIT
#include "kernel/user/task.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

// enter_x86_*.S
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void kernel_enter_task();
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_leave_task(uintptr_t stack_top);

namespace {

using namespace nmisafe;

void note_exception(task& which, const x86::trap_frame& frame, uintptr_t address) {
    which.vector = frame.vector;
    which.error = frame.error;
    which.address = address;
    ++which.exceptions;
    which.is_pending = true;
}

/// Lets the task go on in its handler: what it was doing lies on its stack, and its frame is
/// another.
void deliver_signal(task& which, x86::trap_frame& frame) {
    user::user_frame& all = user::user_frame_of(frame);
    const uintptr_t below = (all.sp() - 128 - sizeof(signal_context)) & ~uintptr_t{15};
    if (!copy_to_task(which, below, &all, sizeof(signal_context)))
        end_task(task_end::faulted, frame);
    const uintptr_t vector = frame.vector;
    all = make_user_frame(which.signal_handler, below);
    all.trap.di = vector;
    all.trap.si = below;
}

/// Before each return to user mode.
void do_return_work(x86::trap_frame& frame) {
    preempt_if_due();
    task& which = *current_task();
    if (!which.is_pending)
        return;
    which.is_pending = false;
    if (which.signal_handler == 0)
        end_task(task_end::faulted, frame);
    deliver_signal(which, frame);
}

/// The task's word is taken for all of it but the flags, so that what is refused, or faults, can be
/// seen.
void return_from_signal(task& which, x86::trap_frame& frame) {
    signal_context context;
    if (!copy_from_task(which, &context, frame.di, sizeof(context)))
        end_task(task_end::faulted, frame);
    context.trap.vector = frame.vector;
    context.trap.error = frame.error;
    user::user_frame_of(frame) = context;
}

void on_system_call(x86::trap_frame& frame) {
    task& which = *current_task();
    ++which.system_calls;
    emit<tracer::events::system_call>(static_cast<uint32_t>(frame.ax), frame.di);
    switch (static_cast<system_call>(frame.ax)) {
    case system_call::exit:
        which.value = frame.di;
        end_task(task_end::exited, frame);
    case system_call::signal_return:
        return_from_signal(which, frame);
        emit<tracer::events::exit_system_call>(int64_t{0});
        return;
    }
    if (which.on_system_call != nullptr)
        which.on_system_call(which, frame);
    emit<tracer::events::exit_system_call>(static_cast<int64_t>(static_cast<intptr_t>(frame.ax)));
}

void on_refused(x86::trap_frame& frame, user::refusal why) {
    current_task()->value = static_cast<uintptr_t>(why);
    end_task(task_end::refused, frame);
}

/// Calls `access` with each piece of a task's memory that lies in one page.
template <typename Access>
bool for_each_piece(const task& which, uintptr_t address, size_t size, bool writable,
                    Access access) {
    for (size_t done = 0; done < size;) {
        const uintptr_t at = address + done;
        const size_t room = page_size - at % page_size;
        const size_t piece = size - done < room ? size - done : room;
        void* const memory = user_memory(*which.space, at, writable);
        if (memory == nullptr)
            return false;
        access(static_cast<uint8_t*>(memory), done, piece);
        done += piece;
    }
    return true;
}

} // namespace

/// Called by enter_x86_*.S on the thread's stack, below what run_task() keeps: the task's first
/// return to user mode.
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void
kernel_begin_task(uintptr_t stack_top, user::user_frame* frame,
                  [[maybe_unused]] uintptr_t shadow_stack_token) {
    task& which = *current_task();
    set_thread_user_stack_top(stack_top);
#ifdef NMISAFE_SHADOW_STACK
    if (uses_shadow_stacks())
        set_thread_user_shadow_stack(shadow_stack_token);
#endif
    *frame = which.frame;
#ifdef __x86_64__
    x86::write_msr(X86_MSR_FS_BASE, which.fs_base);
    x86::write_msr(X86_MSR_KERNEL_GS_BASE, which.gs_base);
#endif
    user::enter(*frame);
}

task* current_task() {
    return thread_task();
}

bool handle_user_exception(x86::trap_frame& frame) {
    if (!user::is_from_user(frame))
        return false;
    const traced_trap here(frame);
    note_exception(*current_task(), frame, 0);
    return true;
}

bool handle_user_page_fault(x86::trap_frame& frame, uintptr_t address) {
    if (!user::is_from_user(frame))
        return false;
    const traced_trap here(frame);
    trace_page_fault(frame, address, true);
    note_exception(*current_task(), frame, address);
    return true;
}

void set_exception_handlers() {
    for (unsigned vector = 0; vector < X86_EXCEPTION_VECTORS; ++vector)
        if (vector != X86_VECTOR_NMI && vector != X86_VECTOR_PF && vector != X86_VECTOR_DF)
            trap::set_handler(static_cast<uint8_t>(vector), handle_user_exception);
    trap::set_page_fault_handler(handle_user_page_fault);
}

void set_up_user_mode() {
    use_user_entries();
    set_exception_handlers();
    trap::set_handler(static_cast<uint8_t>(vector::system_call), [](x86::trap_frame& frame) {
        on_system_call(frame);
        return true;
    });
    user::set_syscall_handler(on_system_call);
    user::set_return_work(do_return_work);
    user::set_refused_return(on_refused);
#if defined __i386__ && !defined NMISAFE_PAGE_TABLE_ISOLATION
    if (this_cpu().sysenter == nullptr)
        set_up_fast_system_calls(this_cpu(), allocate_stack());
#else
    set_up_fast_system_calls(this_cpu(), 0);
#endif
}

user::user_frame make_user_frame(uintptr_t ip, uintptr_t sp) {
    user::user_frame frame{};
    frame.trap.ip = ip;
    frame.trap.cs = KERNEL_USER_CODE_SELECTOR;
    frame.trap.flags = user::fixed_user_flags;
    frame.sp() = sp;
    frame.ss() = KERNEL_USER_DATA_SELECTOR;
#ifdef __i386__
    frame.ds = frame.es = KERNEL_USER_DATA_SELECTOR;
#endif
    return frame;
}

void run_task(task& which) {
    const interrupts_off off;
    which.end = task_end::none;
    which.is_pending = false;
    which.exceptions = which.system_calls = 0;
    begin_task_on_thread(which, *which.space);
    kernel_enter_task();
    forget_task();
}

void forget_task() {
    end_task_on_thread();
}

void end_task(task_end how, x86::trap_frame& frame) {
    x86::disable_interrupts();
    task& which = *current_task();
    which.frame = user::user_frame_of(frame);
    which.end = how;
    kernel_leave_task(thread_user_stack_top());
}

bool copy_from_task(const task& which, void* to, uintptr_t from, size_t size) {
    return for_each_piece(which, from, size, false, [to](uint8_t* memory, size_t at, size_t piece) {
        __builtin_memcpy(static_cast<uint8_t*>(to) + at, memory, piece);
    });
}

bool copy_to_task(const task& which, uintptr_t to, const void* from, size_t size) {
    return for_each_piece(which, to, size, true, [from](uint8_t* memory, size_t at, size_t piece) {
        __builtin_memcpy(memory, static_cast<const uint8_t*>(from) + at, piece);
    });
}

} // namespace kernel
