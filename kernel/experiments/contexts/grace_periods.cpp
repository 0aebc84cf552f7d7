// SPDX-License-Identifier: MIT
// threads, path grace-period: how many preempt-disabled sections of a CPU that has nothing else a
// grace period takes.
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/section_end.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/contexts/threads.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/grace_period.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

/// One CPU that begins a section as soon as the last one has ended, and is waited for again and
/// again. It counts the sections that it ends from the question on until the answer.
constexpr uint32_t busy_cpu = 1;
constexpr uint32_t waits = 40;

shared_flag stop;
shared_count wait_number;   // of the wait in progress, from 1
shared_count asked_in;      // the last wait whose question has come
shared_flag asked;          // it is not answered yet
shared_count asked_at;      // how many sections had ended then
shared_count answer_before; // the CPU's last answer then
shared_flag asked_inside;   // it was in a section then
shared_count answered_inside;
shared_count ended;
shared_count ended_while_asked;
shared_count most_while_asked;

/// An NMI on top, which ends neither the section nor the wait.
void on_question() {
    if (this_cpu().id != busy_cpu || asked_in == wait_number)
        return;
    asked_in = wait_number;
    asked_at = ended;
    answer_before = grace_period_answered(busy_cpu);
    asked_inside = nmisafe::context::preempt_count() != 0;
    asked = true;
    ++scene.count.raised;
    send_nmi(busy_cpu);
}

bool is_answered() {
    return asked && grace_period_answered(busy_cpu) != answer_before;
}

void note_answer() {
    if (!is_answered())
        return;
    const uint32_t sections = ended - asked_at;
    ended_while_asked += sections;
    if (sections > most_while_asked)
        most_while_asked = sections;
    asked = false;
}

/// Each way to end a section in turn; every other one has another inside.
void end_sections(void*) {
    for (uint32_t round = 0; !stop; ++round) {
        preempt_disable();
        if (round % 2 == 0) {
            preempt_disable();
            preempt_enable();
        }
        wait_a_little();
        if (asked_inside && is_answered())
            ++answered_inside;
        ++ended;
        if (round % 4 < 2)
            preempt_enable();
        else
            nmisafe::context::preempt_enable_no_resched();
        note_answer();
    }
}

} // namespace

void wait_for_sections() {
    set_scene(nullptr);
    nmisafe::trap::set_nmi_handler([](nmisafe::x86::trap_frame&) { ++scene.count.handled; });
    grace_period_hook = on_question;
    thread* const busy = create_thread(busy_cpu, end_sections, nullptr);
    if (!wait_for([] { return ended != 0; }))
        fail("sections of the busy CPU", 1, 0);
    for (uint32_t wait = 0; wait < waits; ++wait) {
        ++wait_number;
        wait_for_grace_period();
        if (!wait_for([] { return asked_in == wait_number && !asked; }))
            fail("the busy CPU has answered", 1, 0);
        ++scene.count.boundaries;
    }
    stop = true;
    join(busy);
    grace_period_hook = nullptr;
    if (answered_inside != 0)
        fail("sections that were not waited for", 0, answered_inside);
    if (most_while_asked > 1)
        fail("sections that a grace period took", 1, most_while_asked);
    if (scene.count.handled != scene.count.raised)
        fail("NMIs handled", scene.count.raised, scene.count.handled);
    gather_unsafe_irets();
    print_row("grace-period", false, {"sections", ended_while_asked});
}

} // namespace kernel
