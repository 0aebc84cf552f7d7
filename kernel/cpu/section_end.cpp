// SPDX-License-Identifier: MIT
#include "kernel/cpu/section_end.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"

namespace kernel {

namespace {

uint32_t requests;           // grace periods begun so far
uint32_t answers[most_cpus]; // the latest that each CPU has answered

bool somebody_waits() {
    return (this_cpu().preempt_count & nobody_waits) == 0;
}

/// One instruction, as whatever changes the word.
void toggle_nobody_waits() {
    asm volatile("xorl %[bit], %%gs:%c[offset]"
                 :
                 : [bit] "i"(nobody_waits), [offset] "i"(CPU_PREEMPT_COUNT)
                 : "memory", "cc");
}

/// Interrupts off, the count at 0.
void answer() {
    __atomic_store_n(&answers[this_cpu().id], __atomic_load_n(&requests, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
    if (somebody_waits())
        toggle_nobody_waits();
}

} // namespace

uint32_t new_grace_period() {
    return __atomic_add_fetch(&requests, 1, __ATOMIC_SEQ_CST);
}

uint32_t grace_period_answered(uint32_t cpu_id) {
    return __atomic_load_n(&answers[cpu_id], __ATOMIC_ACQUIRE);
}

/// No irq_enter() before it: the count is that of the code interrupted. A thread that was
/// preempted, and does not run now, had it at 0.
void answer_grace_period() {
    if ((this_cpu().preempt_count & ~nobody_waits) == 0)
        answer();
    else if (!is_removed(defence::section) && !somebody_waits())
        toggle_nobody_waits();
}

/// With interrupts off. Until they are another thread may have run here; but who is in a section is
/// not switched away from, so what counts is the word as it is now.
void note_end_of_section() {
    const interrupts_off off;
    if (this_cpu().preempt_count == 0)
        answer();
}

} // namespace kernel
