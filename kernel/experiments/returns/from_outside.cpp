// SPDX-License-Identifier: MIT
// from-outside: the emulator is made to raise an event, at each instruction boundary of a path in
// turn (tests/guest/injector.cpp), which the guest could not raise there itself: #MC in the entry
// and the return of another trap, where interrupts are off, or an SMI.
//
//   breakpoint, page-fault, interrupt     a thread takes the trap
//   debug                                 a thread meets a watchpoint, which all handlers but #DB's own meet too:
//                                         there it is not armed
//   nmi-breakpoint, nmi-page-fault        an NMI handler does: from before the NMI until after it
//   int-2                                 the same begun by INT 2, which blocks no NMIs
//
// All registers of who takes the trap must come back. The handler of #MC raises an NMI, hits INT3
// and takes a page fault: the NMI must land in it if a thread was interrupted, and not before the
// end of the NMI handler if it was that, or anything that it led to.
//
// An NMI that the CPU takes although it blocks NMIs, as it may behind an SMI or a faulting IRET: it
// must be held back to the end of the one in progress, at each instruction from the first of its
// entry to its final IRET, and then be handled. On x86-64 not before the very first one: no latch
// can help there.
//
// Option part=all: debug, interrupt and int-2 too. Of an NMI int-2 is always there; the other two are those of
// events-under-nmi.
//
// Option mode=user or user-roads: the paths of user_from_outside.cpp instead.
//
// Option event=machine-check, smi or unblocked-nmi says what is raised. The emulator sets
// outside_done when it has come to the path's end; without it the experiment shows nothing, and
// fails.
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/returns/event_windows.h"
#include "kernel/experiments/returns/nmi_debugger.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" uint32_t outside_done;
uint32_t outside_done;

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

enum class trap_kind : uint8_t { breakpoint, page_fault, debug, interrupt };

struct outside_path {
    const char* name;
    trap_kind kind;
    bool in_nmi;
    bool is_further = false;
};

constexpr outside_path paths[] = {
    {"breakpoint", trap_kind::breakpoint, false},
    {"page-fault", trap_kind::page_fault, false},
    {"debug", trap_kind::debug, false, true},
    {"interrupt", trap_kind::interrupt, false, true},
    {"nmi-breakpoint", trap_kind::breakpoint, true},
    {"nmi-page-fault", trap_kind::page_fault, true},
    {"int-2", trap_kind::breakpoint, true, true},
};
constexpr const outside_path* int_2 = &paths[6];
static_assert(WINDOW_INTERRUPT == static_cast<unsigned>(vector::synchronise));
constexpr uint32_t most_passes = 10000;
constexpr uint32_t passes_at_the_end = 2; // until the emulator's word is seen

const outside_path* path;
shared_count events;
shared_count round_trips;
shared_count handlers;
shared_count debugs;
shared_flag in_debug;
volatile uint32_t watched;

void trap_twice() {
    hit_breakpoint();
    unmap_test_page(1);
    touch_page(1);
    if (path->kind == trap_kind::debug)
        watched = 0;
}

/// Of the thread's write alone. @context #DB; one in another handler has no way back
bool on_debug(trap_frame& frame) {
    constexpr uintptr_t reported = 1U << 3;
    const uintptr_t status = nmisafe::x86::read_dr6() & (X86_DR6_HIT_ALL | X86_DR6_SINGLE_STEP);
    const auto behind = reinterpret_cast<uintptr_t>(round_trip_page_fault_end);
    if (in_debug || frame.ip != behind) {
        fail("where a #DB came", behind, frame.ip);
        abandon();
    }
    in_debug = true;
    ++debugs;
    if (status != reported)
        fail("what DR6 reports", reported, status);
    expect_direction_flag_clear();
    in_debug = false;
    return true;
}

bool on_machine_check(trap_frame& frame) {
    ++events;
    record_address(frame.ip);
    expect_direction_flag_clear();
    raise_nmi_here();
    trap_twice();
    return true;
}

/// Distinct in every byte, so that a truncated or exchanged register shows.
uintptr_t pattern(unsigned number) {
    return static_cast<uintptr_t>(0x8191a1b1c1d1e1f1) +
           static_cast<uintptr_t>(0x0101010101010101) * number;
}

void round_trip() {
    auto* values = reinterpret_cast<uintptr_t*>(&round_trip_in);
    constexpr unsigned count = sizeof round_trip_in / sizeof *values;
    for (unsigned i = 0; i < count; ++i)
        values[i] = pattern(i);
    round_trip_in.flags = X86_FLAGS_FIXED | X86_FLAGS_CF | X86_FLAGS_DF;
    round_trip_pad = sizeof(uintptr_t);
    switch (path->kind) {
    case trap_kind::breakpoint:
        round_trip_breakpoint();
        break;
    case trap_kind::page_fault:
        unmap_test_page(0);
        round_trip_in.bx = reinterpret_cast<uintptr_t>(test_page(0));
        round_trip_page_fault();
        break;
    case trap_kind::debug:
        round_trip_in.bx = reinterpret_cast<uintptr_t>(&watched);
        round_trip_page_fault(); // which writes
        break;
    case trap_kind::interrupt:
        round_trip_interrupt();
        break;
    }
    const auto* out = reinterpret_cast<const uintptr_t*>(&round_trip_out);
    for (unsigned i = 0; i < count; ++i)
        if (values[i] != out[i])
            fail("a register, RSP or RFLAGS did not come back", values[i], out[i]);
    ++round_trips;
}

/// The NMI of the path itself takes the trap, the one raised by #MC another one.
void nmi_body(trap_frame&) {
    ++handlers;
    if (path->in_nmi && round_trips == 0)
        round_trip();
    else
        trap_twice();
}

/// Without the latch an NMI may count as lost that was handled inside another one: it is not waited
/// for.
void one_pass() {
    window_outside();
    if (nmisafe::trap::defended(NMISAFE_WITHOUT_LATCH))
        settle();
}

/// False if a nested NMI abandoned it: the emulator then is in the middle of a pass.
bool sweep() {
    set_scene(nmi_body);
    nmisafe::trap::set_handler(X86_VECTOR_MC, on_machine_check);
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
    const bool with_debug = path->kind == trap_kind::debug;
    nmisafe::x86::write_breakpoint_address(3, reinterpret_cast<uintptr_t>(&watched));
    nmisafe::trap::set_debug_control(with_debug ? on_writing_4(3) : X86_DR7_DISARMED);
    const bool with_nmi = option("event") == "unblocked-nmi";
    const bool with_smi = option("event") == "smi"; // of which nothing is seen here
    uint32_t without_event = 0;
    outside_done = 0;
    do {
        events = 0;
        round_trips = 0;
        handlers = 0;
        debugs = 0;
        ++scene.count.boundaries;
        if (!run_guarded(one_pass)) { // a control, which has shown what it is to
            nmisafe::x86::write_dr7(X86_DR7_DISARMED);
            print_row(path->name);
            return false;
        }
        if (round_trips != 1)
            fail("round trips", 1, round_trips);
        if (debugs != with_debug)
            fail("#DBs", with_debug, debugs);
        if (with_nmi ? handlers != (path->in_nmi ? 2 : 1) : events != 1)
            ++without_event;
    } while (__atomic_load_n(&outside_done, __ATOMIC_ACQUIRE) == 0 &&
             scene.count.boundaries < most_passes);
    // Where the path's own NMI has just been delivered none is raised on x86-64; x86-32 has no such
    // place but merges the two there.
    const uint32_t merged = with_nmi && path->in_nmi ? 1 : 0;
    if (!with_smi && without_event > passes_at_the_end + merged)
        fail("passes without the event", passes_at_the_end + merged, without_event);
    if (outside_done == 0)
        fail("the emulator came to the path's end", 1, 0);
    nmisafe::trap::set_debug_control(X86_DR7_DISARMED);
    print_row(path->name);
    print_recorded(path->name);
    return true;
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void outside_action() {
    if (path == nullptr) // user_from_outside.cpp
        raise_nmi_here();
    else if (path == int_2)
        raise_nmi_vector();
    else if (path->in_nmi)
        raise_nmi_here();
    else
        round_trip();
}

void from_outside() {
    nmisafe::x86::disable_interrupts();
    if (option("mode") == "user" || option("mode") == "user-roads") {
        user_from_outside([] { window_outside(); });
        return;
    }
    const bool all = option("part") == "all";
    for (const outside_path& which : paths) {
        path = &which;
        const bool is_wanted = all || (path == int_2 && option("event") == "unblocked-nmi");
        if (which.is_further && !is_wanted)
            continue;
        if (!sweep())
            return;
    }
}

} // namespace kernel
