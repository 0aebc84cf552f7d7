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
//   lazy-buffer     the NMI's event is the first access to the buffer in this address space: it
//                   faults between reserve and commit, and the fault's handler writes into the same
//                   buffer (a second NMI is pended at each boundary)
//
// Each for buffers that discard or overwrite. All events are read back: none may be missing or
// uncounted, and no time goes back.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/lazy_pages.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/windows.h"
#include "kernel/experiments/tracing/trace_journal.hpp"
#include "kernel/experiments/tracing/trace_windows.h"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using ring_buffer::mode;
using x86::trap_frame;

address_space* space; // lacks the lazy pages
uint32_t events_before;
uint32_t hits_before;
bool clock_runs_ahead;

// --- what runs inside what ----------------------------------------------------------------------

bool on_page_fault(trap_frame& frame, uintptr_t address) {
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

// --- a breakpoint that was patched into the code ------------------------------------------------

constinit kprobe::probe probe_on_access{};

void on_probe(kprobe::probe&, trap_frame&) {
    write_around_fault();
}

void probed_body(trap_frame& frame) {
    sweep_event();
    const bool is_first = first_of_pass(frame);
    const open_event mine = open(small_event);
    if (is_first)
        raise_nmi_here();
    uint32_t value = 0;
    if (!try_read(&events_before, value) || value != events_before)
        fail("an instruction with a probe", events_before, value);
    close(mine);
}

void lazy_body(trap_frame& frame) {
    sweep_event();
    first_of_pass(frame);
    write_event(small_event);
}

// --- before and after each injection ------------------------------------------------------------

void prepare(mode which, void (*fill)()) {
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    start_journal_clock();
    begin_pass(true);
    begin_journal(which);
    fill();
    events_before = events_wanted();
}

void check_with(uint32_t events_of_window) {
    settle();
    expect_two_handlers(nullptr);
    const uint32_t expected = events_before + events_of_window + events_of_nmi * 2;
    if (events_wanted() != expected)
        fail("events", expected, events_wanted());
    write_event(small_event);
    check_journal();
}

void check() {
    check_with(1);
}

void prepare_probed(mode which, void (*fill)()) {
    prepare(which, fill);
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    hits_before = probe_on_access.hits;
}

/// Each NMI has hit it, and none while another hit was under way.
void check_probed() {
    check_with(1);
    if (probe_on_access.hits - hits_before != 2 || probe_on_access.missed != 0)
        fail("hits of the probe", 2, probe_on_access.hits - hits_before);
}

void prepare_update() {
    prepare(mode::discard, [] { write_event(small_event); });
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
     {WINDOW(event_discard), [] { prepare(mode::discard, [] { write_event(small_event); }); },
      both_handled, check},
     ENDS(event_discard),
     true},
    {"event-overwrite",
     body,
     {WINDOW(event_overwrite), [] { prepare(mode::overwrite, [] { write_event(small_event); }); },
      both_handled, check},
     ENDS(event_overwrite),
     true},
    {"switch-discard",
     body,
     {WINDOW(switch_discard), [] { prepare(mode::discard, fill_packet); }, both_handled, check},
     ENDS(switch_discard),
     true},
    {"switch-overwrite",
     body,
     {WINDOW(switch_overwrite), [] { prepare(mode::overwrite, fill_ring); }, both_handled, check},
     ENDS(switch_overwrite),
     true},
    {"event-lost",
     body,
     {WINDOW(event_lost), [] { prepare(mode::discard, fill_buffer); }, both_handled, check},
     ENDS(event_lost),
     true},
};

const swept_path update_path = {
    "clock-update",
    body,
    {WINDOW(clock_update), prepare_update, both_handled, [] { check_with(0); }},
    ENDS(clock_update),
    true};

const swept_path lazy_path = {
    "lazy-buffer",
    lazy_body,
    {[] { raise_nmi_in_window(window_nmi_vmalloc); }, prepare_lazy, both_handled, check_lazy},
    ENDS(nmi_vmalloc),
    false};

const swept_path probed_paths[] = {
    {"probed-discard",
     probed_body,
     {WINDOW(probed_discard),
      [] { prepare_probed(mode::discard, [] { write_event(small_event); }); }, both_handled,
      check_probed},
     ENDS(probed_discard),
     true},
    {"probed-switch",
     probed_body,
     {WINDOW(probed_switch), [] { prepare_probed(mode::overwrite, fill_ring); }, both_handled,
      check_probed},
     ENDS(probed_switch),
     true},
};

void sweep_probed() {
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    probe_on_access.function = reinterpret_cast<uintptr_t>(kernel_try_read);
    probe_on_access.address = text_address(kernel_try_read_access);
    probe_on_access.slot = reinterpret_cast<uintptr_t>(probe_slots);
    probe_on_access.pre = on_probe;
    if (const auto inserted = kprobe::insert(probe_on_access); !inserted)
        return fail("a probe was refused", 0, static_cast<uintptr_t>(inserted.error()));
    for (const swept_path& which : probed_paths)
        sweep_or_trace(which, on_page_fault);
    if (!kprobe::remove(probe_on_access) || !kprobe::release(probe_on_access))
        fail("a probe was not removed", 1, 0);
}

void sweep_lazy(void*) {
    x86::disable_interrupts();
    sweep_or_trace(lazy_path, on_page_fault);
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
    if (is_removed(defence::exchange) || is_removed(defence::fresh_time))
        return sweep_or_trace(paths[0], on_page_fault); // where it shows
    if (!is_removed(defence::two_lines))
        for (const swept_path& which : paths)
            sweep_or_trace(which, on_page_fault);
    // A nested NMI of a control abandons the probe's handler, and with it the probe.
    if (option("without").empty())
        sweep_probed();
    sweep_or_trace(update_path, on_page_fault);
    if (is_removed(defence::two_lines))
        return;
    set_up_lazy_pages();
    space = create_address_space();
    join(create_thread(0, sweep_lazy, nullptr, space));
}

} // namespace kernel
