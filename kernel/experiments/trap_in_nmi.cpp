// SPDX-License-Identifier: MIT
// breakpoint-in-nmi and page-fault-in-nmi: for 10 ms every NMI handler hits a trap, with another
// NMI pending each time, while a second CPU keeps sending NMIs as fast as they are answered. Under
// the policy iret the trap's return lets the pending NMI in on top of the handler.
#include "kernel/core/apic.hpp"
#include "kernel/core/console.hpp"
#include "kernel/core/hpet.hpp"
#include "kernel/core/per_cpu.hpp"
#include "kernel/core/smp.hpp"
#include "kernel/core/test_page.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/scene.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

constexpr uint32_t active_microseconds = 10000; // the RFC's delay
constexpr uint32_t least_sent = 100;            // by the other CPU
constexpr uint32_t give_up_microseconds = 20'000'000;

void (*trap)();
shared_flag second_raised;
shared_flag stop_sending;
shared_flag started;
shared_flag timed;
shared_count passes;
uint32_t start_ticks;

/// Each first handler of a pass raises the NMI that is to be held off until it has ended.
void body(trap_frame&) {
    if (!second_raised) {
        second_raised = true;
        raise_nmi_here();
    }
    trap();
}

void trap_breakpoint() {
    hit_breakpoint();
}

void trap_page_fault() {
    unmap_test_page(0);
    touch_page(0);
}

/// Longer than a handler takes: an NMI sent as soon as the last one has begun would be pending when
/// that one ends, and so would the next, and the other CPU would never get out of its handlers.
void pause_between_nmis() {
    for (unsigned i = 0; i < 50; ++i)
        wait_a_little();
}

/// The other CPU: an NMI, then a bounded wait until a handler has started that can have seen it.
void send_nmis(void*) {
    while (!stop_sending) {
        pause_between_nmis();
        const uint32_t ticket = scene.sender_tickets + 1;
        scene.sender_tickets = ticket;
        send_nmi(0);
        if (!wait_for(
                [ticket] { return static_cast<int32_t>(scene.sender_honoured - ticket) >= 0; }))
            ++scene.count.lost;
    }
}

/// Lets the other CPU get its next NMI in, without touching a device: QEMU serves devices to one
/// CPU at a time, and this one would keep the other from sending.
void give_way() {
    const uint32_t before = scene.sender_honoured;
    for (uint32_t i = 0; i < 10000 && scene.sender_honoured == before; ++i)
        wait_a_little();
}

/// Both the RFC's time and enough NMIs from the other CPU; a busy host makes the latter slow.
bool long_enough() {
    const uint32_t past = ticks() - start_ticks;
    return past >= ticks_in(active_microseconds) &&
           (scene.sender_tickets >= least_sent || past > ticks_in(give_up_microseconds));
}

/// Begun anew after each NMI that was run over; the time runs from the sender's first NMI.
void run_for_the_delay() {
    if (!started) {
        started = true;
        run_on(1, send_nmis, nullptr);
    }
    while (scene.sender_honoured == 0)
        wait_a_little();
    if (!timed) {
        timed = true;
        start_ticks = ticks();
    }
    while (!long_enough()) {
        ++passes;
        second_raised = false;
        raise_nmi_here();
        settle();
        give_way();
    }
    stop_sending = true;
    wait(1);
}

void run(void (*function)()) {
    trap = function;
    set_scene(body);
    run_to_the_end(run_for_the_delay);
    scene.count.raised += scene.sender_tickets;
    if (scene.count.nested == 0 && scene.breakpoints + scene.page_faults != scene.count.handled)
        fail("traps differ from handlers", scene.count.handled,
             scene.breakpoints + scene.page_faults);
    if (scene.sender_tickets < least_sent)
        fail("NMIs sent by the other CPU", least_sent, scene.sender_tickets);
    scene.count.boundaries = passes;
    print_row(nullptr, false, {"sent_by_other_cpu", scene.sender_tickets});
}

} // namespace

void breakpoint_in_nmi() {
    run(trap_breakpoint);
}

void page_fault_in_nmi() {
    run(trap_page_fault);
}

} // namespace kernel
