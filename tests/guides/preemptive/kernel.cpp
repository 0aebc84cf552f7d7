// SPDX-License-Identifier: MIT
// docs/guides/add_to_a_kernel.md, "a preemptive kernel": two threads, switched by the timer's
// interrupt, while NMIs come.
#ifdef __x86_64__
#include "nmisafe/context/count.hpp"
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"
#include "tests/guides/experiment/experiment.hpp"
#include "tests/guides/ists/cpu.hpp"
#include "tests/guides/machine.hpp"

constexpr uint8_t timer_vector = 32;

struct thread {
    uintptr_t sp; // while it does not run
    uint32_t preempt_count;
};
thread threads[2];
unsigned current;
volatile bool switch_is_due;
volatile uint32_t switches;
extern "C" void switch_stacks(uintptr_t* saved_sp, uintptr_t new_sp); // switch.S

// Interrupts off, outside of NMI, #DB and #MC. An NMI between any two lines finds a count, and gives back the one it
// found: each is that of a thread that is in none.
static void schedule() {
    switch_is_due = false;
    thread& before = threads[current];
    current ^= 1;
    thread& after = threads[current];
    before.preempt_count = cpu.preempt_count;
    cpu.preempt_count = after.preempt_count;
    switches = switches + 1;
    switch_stacks(&before.sp, after.sp);
}

static void acknowledge_timer() {
    x86::out8(0x20, 0x20);
}

static bool on_timer(x86::trap_frame&) {
    context::irq_enter();
    acknowledge_timer();
    switch_is_due = true;
    context::irq_exit();
    // Last of all: the frame stays on this thread's stack until it runs again, and then goes back.
    if (!keeps(step::count))
        schedule();
    if (context::preempt_count() == 0)
        schedule();
    return true;
}

static void preempt_enable() {
    context::preempt_enable_no_resched();
    if (!switch_is_due || context::preempt_count() != 0)
        return;
    if (!keeps(step::interrupts))
        x86::enable_interrupts();
    if ((x86::read_flags() & X86_FLAGS_IF) == 0)
        return; // the caller keeps them off: the next one switches, or the timer
    x86::disable_interrupts();
    schedule();
    x86::enable_interrupts();
}

static void set_up_handlers() {
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_handler(timer_vector, on_timer);
}

static volatile unsigned owner;

// Each section must be over before the other thread runs.
static void work() {
    while (nmis < wanted || switches < 50) {
        context::preempt_disable();
        const unsigned mine = current;
        owner = mine;
        for (unsigned i = 0; i < 1000; ++i) {
            if (owner != mine)
                panic("switched away in a section", i);
            asm volatile("pause");
        }
        if (nmis == sent)
            send_nmi();
        preempt_enable();
        x86::disable_interrupts();
        context::preempt_disable();
        switch_is_due = true;
        preempt_enable();
        const bool are_on = (x86::read_flags() & X86_FLAGS_IF) != 0;
        x86::disable_interrupts();
        if (are_on)
            panic("interrupts are on where they were off", 0);
        x86::enable_interrupts();
    }
    x86::disable_interrupts();
    report();
}

static void begin_thread() {
    x86::enable_interrupts();
    work();
}

alignas(16) static uint8_t second_stack[16384];

static void make_second_thread() {
    auto* const top = reinterpret_cast<uintptr_t*>(second_stack) + sizeof second_stack / 8;
    top[-2] = reinterpret_cast<uintptr_t>(begin_thread);
    threads[1] = {.sp = reinterpret_cast<uintptr_t>(top - 8), .preempt_count = 0};
}

struct port_value {
    uint16_t port;
    uint8_t value;
};

static void start_timer() {
    static const port_value values[] = {{0x20, 0x11}, {0x21, timer_vector}, {0x21, 4},
                                        {0x21, 1},    {0x21, 0xfe},         {0x43, 0x34},
                                        {0x40, 0xa9}, {0x40, 0x04}}; // 1 kHz
    for (const port_value& one : values)
        x86::out8(one.port, one.value);
}

extern "C" [[noreturn]] void kernel_main() {
    mask_interrupt_controllers();
    set_up_cpu();
    set_up_gates();
    set_up_handlers();
    if (!keeps(step::policy))
        trap::set_return_policy(trap::return_policy::iret);
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what), found.vector);
    map_faulting_page(false);
    make_second_thread();
    start_timer();
    begin_thread();
    for (;;) {
    }
}
#endif
