// SPDX-License-Identifier: MIT
#include "kernel/smp/interrupts.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/devices/apic.hpp"
#include "kernel/events/clock.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/grace_period.hpp"
#include "kernel/smp/tlb.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/port.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

void leave_interrupt() {
    end_of_interrupt();
    context::irq_exit();
}

constexpr uint16_t pic_command[] = {0x20, 0xa0};
constexpr uint16_t pic_data[] = {0x21, 0xa1};
constexpr uint16_t pit_channel_0 = 0x40;
constexpr uint16_t pit_control = 0x43;
constexpr uint8_t pit_channel_0_mode_1 = 0x32; // a one-shot that only an edge of its gate starts

/// Away from the exceptions' vectors, then masked: even a masked one may raise its spurious
/// interrupt.
void park_legacy_devices() {
    for (unsigned pic = 0; pic < 2; ++pic) {
        x86::out8(pic_command[pic], 0x11); // initialise, four words
        x86::out8(pic_data[pic],
                  static_cast<uint8_t>(static_cast<unsigned>(vector::legacy) + 8 * pic));
        x86::out8(pic_data[pic], pic == 0 ? 1 << 2 : 2); // who hangs on which line
        x86::out8(pic_data[pic], 1);
        x86::out8(pic_data[pic], 0xff);
    }
    // Its gate is always on: it never starts, and so never raises the I/O APIC pin it shares.
    x86::out8(pit_control, pit_channel_0_mode_1);
    x86::out8(pit_channel_0, 0xff);
    x86::out8(pit_channel_0, 0xff);
}

/// All of it but the switch of threads at its end.
void handle_tick() {
    context::irq_enter();
    const traced_interrupt here(static_cast<uint8_t>(vector::tick), "tick");
    note_tick();
    if (is_traced())
        keep_trace();
    leave_interrupt();
}

bool on_tick(x86::trap_frame&) {
    handle_tick();
    preempt_if_due();
    return true;
}

void handle_wake() {
    context::irq_enter();
    const traced_interrupt here(static_cast<uint8_t>(vector::wake), "wake");
    this_cpu().need_resched = 1;
    leave_interrupt();
}

bool on_wake(x86::trap_frame&) {
    handle_wake();
    preempt_if_due();
    return true;
}

/// Neither is in service anywhere: no EOI. [intel/vol3 10.9]
bool on_spurious(x86::trap_frame&) {
    return true;
}

} // namespace

void set_up_interrupts() {
    park_legacy_devices();
    for (unsigned line = 0; line < 16; ++line)
        trap::set_handler(static_cast<uint8_t>(static_cast<unsigned>(vector::legacy) + line),
                          on_spurious);
    trap::set_handler(static_cast<uint8_t>(vector::spurious), on_spurious);
    trap::set_handler(static_cast<uint8_t>(vector::wake), on_wake);
    trap::set_handler(static_cast<uint8_t>(vector::tick), on_tick);
    set_up_synchronisation();
    set_up_grace_periods();
    set_up_tlb();
}

void finish_interrupt() {
    leave_interrupt();
    preempt_if_due();
}

} // namespace kernel
