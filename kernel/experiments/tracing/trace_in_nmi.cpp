// SPDX-License-Identifier: MIT
// trace-in-nmi: an NMI at every instruction boundary of an event's writing. In the middle of an
// event of its own, between reserve and commit, the NMI's handler hits a breakpoint; the handler of
// that, in the middle of an event, faults on a page; and the handler of that writes one too. Then
// the next NMI, raised inside the first one, does the same.
//
//   event-*         an event in the middle of a packet
//   switch-*        one that ends a packet and begins the next; with overwrite the oldest goes
//   event-lost      one for which there is no room, with discard
//   clock-update    not an event, but the comparison of the clock with the HPET
//   probed-*        the same as event-discard and switch-overwrite, but the NMI's breakpoint is one
//                   that was patched into the code: a kprobe, whose handler writes and faults
//   patched-*       and one that a batch of patches has put there, in the middle of the batch
//                   (both: trace_at_patches.cpp)
//   lazy-buffer     the NMI's event is the first access to the buffer in this address space: it
//                   faults between reserve and commit, and the fault's handler writes into the same
//                   buffer (a second NMI is pended at each boundary)
//
// Each for buffers that discard or overwrite. All events are read back: none may be missing or
// uncounted, and no time goes back.
#include "kernel/experiments/tracing/trace_in_nmi.hpp"
#include "kernel/common/controls.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/lazy_pages.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/experiments/tracing/trace_windows.h"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using namespace nmisafe;
using ring_buffer::mode;
using x86::trap_frame;

namespace {

address_space* space; // lacks the lazy pages
uint32_t events_before;
bool clock_runs_ahead;

} // namespace

// --- what runs inside what ----------------------------------------------------------------------

bool trace_page_fault_of_scene(trap_frame& frame, uintptr_t address) {
    if (!handle_scene_page_fault(frame, address))
        return false;
    write_event(small_event); // only now: it may be the buffer that faulted
    return true;
}

void write_around_fault() {
    const open_event mine = open(small_event);
    unmap_test_page(1);
    touch_page(1);
    close(mine);
}

namespace {

bool on_breakpoint(trap_frame& frame) {
    write_around_fault();
    return handle_scene_breakpoint(frame);
}

constexpr uint32_t events_of_nmi = 3;

void body(trap_frame& frame) {
    sweep_event();
    const bool is_first = first_of_pass(frame);
    const open_event mine = open(small_event);
    if (is_first)
        raise_nmi_here();
    hit_breakpoint();
    close(mine);
}

void lazy_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    write_event(small_event);
}

} // namespace

// --- before and after each injection ------------------------------------------------------------

void prepare_trace(mode which, void (*fill)()) {
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    start_journal_clock();
    begin_pass(true);
    begin_journal(which);
    fill();
    events_before = events_wanted();
}

void check_trace(uint32_t events_of_window) {
    settle();
    expect_two_handlers(nullptr);
    const uint32_t expected = events_before + events_of_window + events_of_nmi * 2;
    if (events_wanted() != expected)
        fail("events", expected, events_wanted());
    write_event(small_event);
    check_journal();
}

namespace {

void check() {
    check_trace(1);
}

void prepare_update() {
    prepare_trace(mode::discard, [] { write_event(small_event); });
    clock_runs_ahead = !clock_runs_ahead;
}

void prepare_lazy() {
    start_journal_clock();
    begin_journal(mode::discard, const_cast<uint32_t*>(&lazy_page(0)));
    write_event(small_event);
    forget_lazy_pages(*space);
    begin_pass(false); // the first time the above has faulted too
}

void check_lazy() {
    expect_two_handlers(window_nmi_vmalloc_end);
    if (scene.page_faults != 1)
        fail("page faults on the buffer", 1, scene.page_faults);
    write_event(small_event);
    check_journal();
}

// --- the paths ----------------------------------------------------------------------------------

#define WINDOW(name) [] { window_##name(); }
#define ENDS(name) window_##name##_begin, window_##name##_end

const swept_path paths[] = {
    {"event-discard",
     body,
     {WINDOW(event_discard), [] { prepare_trace(mode::discard, [] { write_event(small_event); }); },
      both_handled, check},
     ENDS(event_discard),
     true},
    {"event-overwrite",
     body,
     {WINDOW(event_overwrite),
      [] { prepare_trace(mode::overwrite, [] { write_event(small_event); }); }, both_handled,
      check},
     ENDS(event_overwrite),
     true},
    {"switch-discard",
     body,
     {WINDOW(switch_discard), [] { prepare_trace(mode::discard, fill_packet); }, both_handled,
      check},
     ENDS(switch_discard),
     true},
    {"switch-overwrite",
     body,
     {WINDOW(switch_overwrite), [] { prepare_trace(mode::overwrite, fill_ring); }, both_handled,
      check},
     ENDS(switch_overwrite),
     true},
    {"event-lost",
     body,
     {WINDOW(event_lost), [] { prepare_trace(mode::discard, fill_buffer); }, both_handled, check},
     ENDS(event_lost),
     true},
};

const swept_path update_path = {
    "clock-update",
    body,
    {WINDOW(clock_update), prepare_update, both_handled, [] { check_trace(0); }},
    ENDS(clock_update),
    true};

const swept_path lazy_path = {
    "lazy-buffer",
    lazy_body,
    {[] { raise_nmi_in_window(window_nmi_vmalloc); }, prepare_lazy, both_handled, check_lazy},
    ENDS(nmi_vmalloc),
    false};

void sweep_lazy(void*) {
    x86::disable_interrupts();
    sweep_or_trace(lazy_path, trace_page_fault_of_scene);
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void trace_event_action() {
    write_event(large_event);
}

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void clock_update_action() {
    if (!update_journal_clock(clock_runs_ahead))
        fail("a clock's update", 1, 0);
}

void trace_in_nmi() {
    x86::disable_interrupts();
    // Controls: where it shows.
    if (is_removed(defence::emulate))
        return trace_at_patches();
    if (is_removed(defence::exchange) || is_removed(defence::fresh_time)) {
        sweep_or_trace(paths[0], trace_page_fault_of_scene);
        if (is_removed(defence::exchange))
            trace_at_patches();
        return;
    }
    if (!is_removed(defence::two_lines))
        for (const swept_path& which : paths)
            sweep_or_trace(which, trace_page_fault_of_scene);
    sweep_or_trace(update_path, trace_page_fault_of_scene);
    if (is_removed(defence::two_lines))
        return;
    set_up_lazy_pages();
    space = create_address_space();
    join(create_thread(0, sweep_lazy, nullptr, space));
    trace_at_patches();
}

} // namespace kernel
