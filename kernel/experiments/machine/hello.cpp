// SPDX-License-Identifier: MIT
// Everything that the other experiments rely on, once: CPUs, threads, address spaces, breakpoints,
// page faults and each source of NMIs. A check that does not hold counts as a failure and is named.
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/checkpoint.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/machine/setup_faults.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr uint8_t one_shot_vector = first_experiment_vector;

uint32_t failures;
uint32_t breakpoints;
uint32_t page_faults;
uint32_t nmis_raised;
uint32_t nmis_handled;
uint32_t one_shot_interrupts;

uint32_t read(const uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
void increment(uint32_t& word) {
    __atomic_fetch_add(&word, 1, __ATOMIC_ACQ_REL);
}

void check(bool holds, const char* what) {
    if (holds)
        return;
    increment(failures);
    print("@fail what=\"", what, "\" cpu=", this_cpu().id, "\n");
}

/// Waits for `word` to become `wanted`.
bool becomes(const uint32_t& word, uint32_t wanted) {
    return wait_for([&] { return read(word) == wanted; });
}

void breakpoint() {
    asm volatile("int3" : : : "memory");
}

bool on_breakpoint(x86::trap_frame&) {
    increment(breakpoints);
    return true;
}

bool on_page_fault(x86::trap_frame&, uintptr_t address) {
    const unsigned page = find_test_page(address);
    if (page == test_pages)
        return false;
    increment(page_faults);
    map_test_page(page);
    return true;
}

/// Each CPU has a test page of its own to fault on.
void on_nmi(x86::trap_frame&) {
    const uint32_t page = this_cpu().id;
    breakpoint();
    *static_cast<volatile uint32_t*>(test_page(page)) = page;
    unmap_test_page(page);
    check(context::in_nmi(), "in_nmi() in an NMI");
    increment(nmis_handled);
}

bool on_one_shot(x86::trap_frame&) {
    context::irq_enter();
    increment(one_shot_interrupts);
    finish_interrupt();
    return true;
}

void check_cpus() {
    static uint32_t answers;
    for (uint32_t id = 0; id < cpu_count(); ++id)
        run_on(
            id, [](void*) { increment(answers); }, nullptr);
    for (uint32_t id = 0; id < cpu_count(); ++id)
        wait(id);
    check(answers == cpu_count(), "all CPUs answer");
}

void check_traps() {
    breakpoint();
    check(breakpoints == 1, "a breakpoint returns");
    volatile auto* const word = static_cast<volatile uint32_t*>(test_page(0));
    *word = 42;
    check(page_faults == 1 && *word == 42, "a page fault maps a page");
    unmap_test_page(0);
    check(*word == 42 && page_faults == 2, "an unmapped page faults again");
    unmap_test_page(0);
}

void check_nmis() {
    trap::set_nmi_handler(on_nmi);
    send_nmi_to_self();
    check(becomes(nmis_handled, ++nmis_raised), "an NMI to itself");
    for (uint32_t id = 1; id < cpu_count(); ++id) {
        send_nmi(id);
        check(becomes(nmis_handled, ++nmis_raised), "an NMI to another CPU");
    }
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        one_shot_set_up_nmi(id);
        one_shot_arm(10 * ticks_per_microsecond());
        check(becomes(nmis_handled, ++nmis_raised), "an NMI by the HPET");
        one_shot_disarm();
    }
    trap::set_handler(one_shot_vector, on_one_shot);
    one_shot_set_up_interrupt(one_shot_vector, 0);
    one_shot_arm(10 * ticks_per_microsecond());
    check(becomes(one_shot_interrupts, 1), "an interrupt by the HPET");
    one_shot_shut_down();
    delay_microseconds(100);
    check(nmis_handled == nmis_raised && one_shot_interrupts == 1, "the one-shot stays silent");
}

/// From inside an NMI handler, which is abandoned.
void check_checkpoint() {
    static checkpoint back;
    static volatile uint32_t resumed;
    trap::set_nmi_handler([](x86::trap_frame&) {
        increment(nmis_handled);
        checkpoint_resume(back);
    });
    const uint32_t count = this_cpu().preempt_count;
    for (uint32_t round = 0; round < 2; ++round) {
        if (checkpoint_save(back)) {
            resumed = resumed + 1;
            continue;
        }
        nmis_raised += 1;
        send_nmi_to_self();
        becomes(nmis_handled, nmis_raised + 1); // in vain
    }
    check(resumed == 2 && this_cpu().preempt_count == count &&
              this_cpu().nmisafe.nmi_in_progress == 0,
          "a checkpoint undoes an NMI");
    trap::set_nmi_handler(on_nmi);
}

/// Two threads of one CPU that never give way, each waiting for the other again and again.
struct rally {
    uint32_t turns[2];
    uint32_t lost;
};
constexpr uint32_t rally_turns = 5;

void play(rally& ball, unsigned side) {
    for (uint32_t turn = 1; turn <= rally_turns; ++turn) {
        if (!becomes(ball.turns[1 - side], side == 0 ? turn - 1 : turn))
            increment(ball.lost);
        __atomic_store_n(&ball.turns[side], turn, __ATOMIC_RELEASE);
    }
}

void check_threads() {
    static rally balls[most_cpus];
    thread* players[most_cpus][2];
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        players[id][0] = create_thread(
            id, [](void* ball) { play(*static_cast<rally*>(ball), 0); }, &balls[id]);
        players[id][1] = create_thread(
            id, [](void* ball) { play(*static_cast<rally*>(ball), 1); }, &balls[id]);
    }
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        join(players[id][0]);
        join(players[id][1]);
        check(balls[id].lost == 0 && balls[id].turns[1] == rally_turns, "threads take turns");
    }
}

/// One address, another page in each address space, and a thread that watches its own.
constexpr uintptr_t shared_address = 0x40000000;

struct resident {
    address_space* space;
    uint32_t number;
};

void live(void* argument) {
    const uint32_t mine = static_cast<resident*>(argument)->number;
    auto* const word = reinterpret_cast<volatile uint32_t*>(shared_address);
    *word = mine;
    const uint32_t begin = tick_count();
    while (tick_count() - begin < 6)
        check(*word == mine, "address spaces are apart");
}

void check_address_spaces() {
    static resident residents[2];
    thread* threads[2];
    for (uint32_t i = 0; i < 2; ++i) {
        residents[i] = {create_address_space(), i + 1};
        map(*residents[i].space, shared_address, allocate_page(), true);
        threads[i] = create_thread(0, live, &residents[i], residents[i].space);
    }
    join(threads[0]);
    join(threads[1]);
}

void check_preemption_off() {
    static uint32_t intruded;
    preempt_disable();
    thread* const intruder = create_thread(
        0, [](void*) { increment(intruded); }, nullptr);
    const uint32_t begin = tick_count();
    while (tick_count() - begin < 3)
        x86::pause();
    stop_tick(); // only preempt_enable() is left to make the switch
    check(read(intruded) == 0, "no switch without preemption");
    preempt_enable();
    check(read(intruded) == 1, "the switch that was due comes with preemption");
    join(intruder);
}

#ifdef __x86_64__
bool has_fsgsbase; // of the CPU asked last

/// On each CPU, or on none, as the command line asks; and its NMIs are told.
void check_fsgsbase() {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { has_fsgsbase = (x86::read_cr4() & X86_CR4_FSGSBASE) != 0; }, nullptr);
        wait(id);
        const bool is_told = cpu_at(id).nmi_block->has_fsgsbase != 0;
        const bool is_asked = option("fsgsbase") == "on";
        check(has_fsgsbase == is_asked && is_told == is_asked, "FSGSBASE on each CPU as asked");
    }
}
#endif

} // namespace

void run_hello() {
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_page_fault_handler(on_page_fault);
    check_cpus();
    check_traps();
    check_nmis();
    check(setup_is_right(), "each CPU is set up");
    check(setup_faults_are_found(), "what is damaged is named");
    check_checkpoint();
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { start_tick(); }, nullptr);
        wait(id);
    }
    check_threads();
    check_address_spaces();
#ifdef __x86_64__
    check_fsgsbase();
#endif
    check_preemption_off();
    check(x86::read_cr3() == kernel_space().top_table, "the kernel's own address space is back");
    uint32_t unsafe_irets = 0;
    for (uint32_t id = 0; id < cpu_count(); ++id)
        unsafe_irets += cpu_at(id).nmisafe.iret_returns_in_nmi;
    print("@row boundaries=0 nmis_raised=", nmis_raised, " nmis_handled=", nmis_handled,
          " nested=0 lost=", nmis_raised - nmis_handled, " corrupted=0 unsafe_irets=", unsafe_irets,
          " failures=", failures, "\n");
}

} // namespace kernel
