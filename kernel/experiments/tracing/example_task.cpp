// SPDX-License-Identifier: MIT
#include "kernel/experiments/tracing/example_task.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/experiments/tracing/example_task.h"
#include "kernel/memory/pages.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/user/task.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

/// Of the task on each CPU.
struct place {
    address_space* space;
    uintptr_t lazy_page;
    task running;
};

place places[most_cpus];
bool (*do_work)();
uint32_t ended;

size_t code_size() {
    return static_cast<size_t>(example_task_end - example_task_begin);
}

void make_place(place& made) {
    made.space = create_address_space();
    map_user(*made.space, EXAMPLE_TASK_CODE, allocate_page(), false, true);
    map_user(*made.space, EXAMPLE_TASK_STACK, allocate_page(), true, false);
    made.lazy_page = allocate_page();
    __builtin_memcpy(user_memory(*made.space, EXAMPLE_TASK_CODE, false), example_task_begin,
                     code_size());
}

void on_system_call(task& which, trap_frame& frame) {
    if (frame.ax == EXAMPLE_TASK_FORGET &&
        user_memory(*which.space, EXAMPLE_TASK_LAZY, true) != nullptr)
        unmap(*which.space, EXAMPLE_TASK_LAZY);
    if (frame.ax == EXAMPLE_TASK_WORK && !do_work())
        end_task(task_end::exited, frame);
    frame.ax = 0;
}

/// The copy runs elsewhere; the kernel's file has its names.
void name_code_in_trace() {
    if (!is_traced())
        return;
    const trace_descriptor::code_image image{.begin = EXAMPLE_TASK_CODE,
                                             .size = code_size(),
                                             .linked =
                                                 reinterpret_cast<uintptr_t>(example_task_begin),
                                             .file = "kernel"};
    static_cast<void>(trace_descriptor::add_image(*trace_in_memory, image));
}

} // namespace

void set_up_example_tasks(bool (*work)()) {
    do_work = work;
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { set_up_user_mode(); }, nullptr);
        wait(id);
        make_place(places[id]);
    }
    name_code_in_trace();
}

void run_example_task(void*) {
    place& mine = places[this_cpu().id];
    mine.running = {};
    mine.running.space = mine.space;
    mine.running.frame = make_user_frame(EXAMPLE_TASK_CODE, EXAMPLE_TASK_STACK + page_size);
    mine.running.on_system_call = on_system_call;
    run_task(mine.running);
    if (mine.running.end == task_end::exited)
        __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
}

bool handle_example_task_fault(trap_frame& frame, uintptr_t address) {
    if (!user::is_from_user(frame) || address != EXAMPLE_TASK_LAZY)
        return false;
    const place& mine = places[this_cpu().id];
    map_user(*mine.space, EXAMPLE_TASK_LAZY, mine.lazy_page, true, false);
    const traced_trap here(frame);
    trace_page_fault(frame, address, true);
    return true;
}

uint32_t example_tasks_ended() {
    return __atomic_load_n(&ended, __ATOMIC_RELAXED);
}

} // namespace kernel
