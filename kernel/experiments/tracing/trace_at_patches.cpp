// SPDX-License-Identifier: MIT
// trace-in-nmi, the paths whose NMI hits a breakpoint in the middle of its event that was patched into the code: a
// kprobe's, whose handler traces, and that of a batch of patches which is under way.
#include "kernel/common/controls.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/tracing/trace_in_nmi.hpp"
#include "kernel/experiments/tracing/trace_windows.h"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using ring_buffer::mode;
using x86::trap_frame;

/// An NMI with `hit`, which executes what is patched, in the middle of its event.
template <void (*hit)()>
void body(trap_frame& frame) {
    sweep_event();
    const bool is_first = first_of_pass(frame);
    const open_event mine = open(small_event);
    if (is_first)
        raise_nmi_here();
    hit();
    close(mine);
}

void one_event() {
    write_event(small_event);
}

/// What takes out the exchange does so in the middle of a packet, as the first one is.
void sweep_all(const swept_path (&paths)[2]) {
    sweep_or_trace(paths[0], trace_page_fault_of_scene);
    if (!is_removed(defence::exchange))
        sweep_or_trace(paths[1], trace_page_fault_of_scene);
}

#define WINDOW(name) [] { window_##name(); }
#define ENDS(name) window_##name##_begin, window_##name##_end

// --- a kprobe's ---------------------------------------------------------------------------------

constinit kprobe::probe probe_on_access{};
uint32_t hits_before;
const uint32_t value_read = value_a;

void on_probe(kprobe::probe&, trap_frame&) {
    write_around_fault();
}

void read_probed() {
    uint32_t value = 0;
    if (!try_read(&value_read, value) || value != value_read)
        fail("an instruction with a probe", value_read, value);
}

void prepare_probed(mode which, void (*fill)()) {
    prepare_trace(which, fill);
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    hits_before = probe_on_access.hits;
}

/// Each NMI has hit it, and none while another hit was under way.
void check_probed() {
    check_trace(1);
    if (probe_on_access.hits - hits_before != 2 || probe_on_access.missed != 0)
        fail("hits of the probe", 2, probe_on_access.hits - hits_before);
}

const swept_path probed_paths[] = {
    {"probed-discard",
     body<read_probed>,
     {WINDOW(probed_discard), [] { prepare_probed(mode::discard, one_event); }, both_handled,
      check_probed},
     ENDS(probed_discard),
     true},
    {"probed-switch",
     body<read_probed>,
     {WINDOW(probed_switch), [] { prepare_probed(mode::overwrite, fill_ring); }, both_handled,
      check_probed},
     ENDS(probed_switch),
     true},
};

/// The first NMI that gets in abandons the probe's handler, and with it the probe.
void abandon_probe() {
    swept_path once = probed_paths[0];
    once.plan.once = true;
    sweep_or_trace(once, trace_page_fault_of_scene);
}

void sweep_probed() {
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    probe_on_access.function = reinterpret_cast<uintptr_t>(kernel_try_read);
    probe_on_access.address = text_address(kernel_try_read_access);
    probe_on_access.slot = reinterpret_cast<uintptr_t>(probe_slots);
    probe_on_access.pre = on_probe;
    if (const auto inserted = kprobe::insert(probe_on_access); !inserted)
        return fail("a probe was refused", 0, static_cast<uintptr_t>(inserted.error()));
    if (!trap::defended(NMISAFE_WITHOUT_LATCH))
        return abandon_probe();
    sweep_all(probed_paths);
    if (!kprobe::remove(probe_on_access) || !kprobe::release(probe_on_access))
        fail("a probe was not removed", 1, 0);
}

// --- a batch's ----------------------------------------------------------------------------------

uint32_t hits_in_nmis_before;

bool on_batch(trap_frame& frame) {
    write_around_fault();
    return on_patched_site(frame);
}

void execute_patched() {
    if (const sites_seen seen = execute_sites(); seen.value != value_a)
        fail("the value before, in the middle of a batch", value_a, seen.value);
}

void prepare_patched(mode which, void (*fill)()) {
    prepare_trace(which, fill);
    trap::set_handler(X86_VECTOR_BP, on_batch);
    hits_in_nmis_before = hits_in_nmis;
}

void check_patched() {
    check_trace(1);
    if (hits_in_nmis - hits_in_nmis_before != 2)
        fail("hits of the batch's breakpoint", 2, hits_in_nmis - hits_in_nmis_before);
}

const swept_path patched_paths[] = {
    {"patched-discard",
     body<execute_patched>,
     {WINDOW(patched_discard), [] { prepare_patched(mode::discard, one_event); }, both_handled,
      check_patched},
     ENDS(patched_discard),
     true},
    {"patched-switch",
     body<execute_patched>,
     {WINDOW(patched_switch), [] { prepare_patched(mode::overwrite, fill_ring); }, both_handled,
      check_patched},
     ENDS(patched_switch),
     true},
};

void sweep_patched() {
    set_up_patching();
    trap::set_breakpoint_dispatch(trap::nmisafe_trap_dispatch); // a handler is to be called
    begin_stopped_patch(value_a);
    sweep_all(patched_paths);
    trap::set_handler(X86_VECTOR_BP, on_patched_site);
    if (!end_stopped_patch())
        fail("the patcher refused", 1, 0);
    if (const sites_seen seen = execute_sites(); seen.value != value_b)
        fail("the value after the batch", value_b, seen.value);
}

} // namespace

void trace_at_patches() {
    if (!is_removed(defence::emulate))
        sweep_probed();
    if (trap::defended(NMISAFE_WITHOUT_LATCH))
        sweep_patched();
}

} // namespace kernel
