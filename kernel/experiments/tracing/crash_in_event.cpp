// SPDX-License-Identifier: MIT
// crash-in-event: a panic in the middle of an event's writing, in an NMI handler, with everything traced. What is
// in memory then, `nmisafe extract` and `record --snapshot-on panic` are to get out.
//
//     NMI     ... event event event [C  panic
//     thread  ... event event event
//
// The NMI's last event has a chain of addresses that lies where no memory is: reading it faults between reserve
// and commit. The other CPUs write as fast as they can, and are stopped wherever they are. mode=
//
//   event   nothing else is open
//   nested  the NMI comes in the middle of an event A of the thread, which has faulted on its own chain: what is
//           committed behind A in A's packet is behind a hole of which nobody can say how long it is
//   switch  the same, but the NMI writes more than the packet has room for: the packets behind A's are whole
//
// Printed is what can be read then: the serials of CPU 0's events, and how many events of any kind.
#include "kernel/common/spinlock.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/events/counts.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/tracer/control.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

using serial_event = tracer::event<"serial_event", tracer::channel::kernel, tracer::u32<"serial">,
                                   tracer::addresses<"chain", 2>>;

constexpr uint32_t events_of_thread = 2000;
constexpr uint32_t events_of_nmi = 20;
constexpr uint32_t events_of_long_nmi = 2000; // more than a packet has room for
constexpr unsigned page_of_chain = 2;
constexpr uintptr_t nowhere = 0x1000; // an address without memory

struct crash_state {
    bool is_nested;
    bool is_long;
    uint32_t serial; // of CPU 0's last event
    // Of the event that the NMI has interrupted:
    uint32_t open;   // its serial; 0: none
    uint32_t packet; // the number of its packet
    uint64_t written_before;
    uint64_t behind;     // events committed behind it in its packet, ...
    uint32_t resumed_at; // ... and the serial of the first one in the next
} crash;

void write_serial(uint32_t serial) {
    static const uintptr_t chain[] = {0x1234, 0x5678};
    emit_always<serial_event>(serial, tracer::chain{chain, 2});
}

uint64_t written() {
    return this_cpu().events_written;
}

/// Of the byte that was reserved last.
uint32_t last_packet() {
    const ring_buffer::header& in =
        *this_cpu().tracer->buffers[static_cast<unsigned>(tracer::channel::kernel)];
    return (__atomic_load_n(&in.offset, __ATOMIC_RELAXED) - 1) / in.sub_buffer;
}

/// After each event that comes behind the open one.
void note_behind() {
    if (crash.open == 0)
        return;
    if (last_packet() == crash.packet)
        crash.behind = written() - crash.written_before;
    else if (crash.resumed_at == 0)
        crash.resumed_at = crash.serial;
}

// --- handlers -----------------------------------------------------------------------------------

void on_nmi(trap_frame& frame) {
    const traced_nmi here(frame);
    note_behind();
    for (uint32_t i = 0; i < (crash.is_long ? events_of_long_nmi : events_of_nmi); ++i) {
        write_serial(++crash.serial);
        note_behind();
    }
    ++crash.serial;
    print("crash-in-event: open=", crash.open, " resumed=", crash.resumed_at,
          " dying=", crash.serial, " recoverable=", written() - crash.behind, "\n");
    emit_always<serial_event>(crash.serial,
                              tracer::chain{reinterpret_cast<const uintptr_t*>(nowhere), 2});
    panic("an event of an address without memory was written", nullptr, nowhere);
}

[[noreturn]] void die_in_nmi() {
    send_nmi_to_self();
    wait_for([] { return false; });
    panic("the NMI handler has not died", nullptr, 0);
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    const unsigned number = find_test_page(address);
    if (number != page_of_chain)
        return false;
    crash.packet = last_packet();
    map_test_page(number);
    const traced_trap here(frame);
    trace_page_fault(frame, address, false);
    note_behind();
    die_in_nmi();
}

// --- writers ------------------------------------------------------------------------------------

[[noreturn]] void run_writer(void*) {
    for (uint32_t serial = 1;; ++serial) {
        write_serial(serial);
        this_cpu().experiment[0] = serial;
        for (unsigned i = 0; i < 20; ++i)
            wait_a_little();
    }
}

bool have_all_written() {
    constexpr uintptr_t some = 100;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        if (__atomic_load_n(&cpu_at(id).experiment[0], __ATOMIC_RELAXED) < some)
            return false;
    return true;
}

} // namespace

void crash_in_event() {
    if (!is_traced())
        panic("this experiment is for trace=on or trace=overwrite", nullptr, 0);
    const text mode = option("mode");
    crash.is_long = mode == "switch";
    crash.is_nested = crash.is_long || mode == "nested";
    if (!crash.is_nested && !(mode == "event"))
        panic("unknown value of mode=", nullptr, 0);
    set_scene(nullptr);
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    if (!tracer::add(serial_event::type))
        panic("no type of event", nullptr, 0);
    for (uint32_t id = 1; id < cpu_count(); ++id)
        create_thread(id, run_writer, nullptr, nullptr, "writer");
    for (uint32_t id = 0; id < cpu_count(); ++id)
        run_on(
            id, [](void*) { start_tick(); }, nullptr);

    for (uint32_t i = 0; i < events_of_thread; ++i) {
        const interrupts_off off; // or the serials of others could come between
        write_serial(++crash.serial);
    }
    if (!wait_for(have_all_written))
        panic("the other CPUs do not write", nullptr, 0);
    const interrupts_off off;
    if (!crash.is_nested)
        die_in_nmi();
    crash.open = ++crash.serial;
    crash.written_before = written();
    emit_always<serial_event>(
        crash.open, tracer::chain{static_cast<const uintptr_t*>(test_page(page_of_chain)), 2});
    panic("the page of the chain was there", nullptr, 0);
}

} // namespace kernel
