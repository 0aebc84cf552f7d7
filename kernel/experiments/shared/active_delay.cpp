// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/active_delay.hpp"

#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/smp.hpp"

namespace kernel {
namespace {

constexpr uint32_t active_microseconds = 10000; // the RFC's delay

shared_flag second_raised;
shared_flag stop_sending;
shared_flag started;
shared_flag timed;
shared_count passes;
uint32_t start_ticks;
uint32_t first_ticket;

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

uint32_t sent() {
    return scene.sender_tickets - first_ticket;
}

/// Both the RFC's time and enough NMIs from the other CPU, however slow a busy host makes those.
bool long_enough() {
    return ticks() - start_ticks >= ticks_in(active_microseconds) && sent() >= least_sent_in_delay;
}

/// Begun anew after each NMI that was run over; the time runs from the sender's first NMI.
void run_for_the_delay() {
    if (!started) {
        started = true;
        run_on(1, send_nmis, nullptr);
    }
    while (scene.sender_honoured == first_ticket)
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

} // namespace

void raise_second() {
    if (second_raised)
        return;
    second_raised = true;
    raise_nmi_here();
}

nmis_of_delay delay_under_nmis() {
    second_raised = false; // the very first handler, too, is held
    stop_sending = false;
    started = false;
    timed = false;
    passes = 0;
    first_ticket = scene.sender_tickets;
    run_to_the_end(run_for_the_delay);
    return {passes, sent()};
}

} // namespace kernel
