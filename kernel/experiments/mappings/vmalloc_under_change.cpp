// SPDX-License-Identifier: MIT
// vmalloc-under-change: an NMI at every instruction boundary of vmalloc() and of vfree() on CPU 0.
// At each, the handler itself and CPU 1, in a thread, access the very mapping that is being made or
// torn down, both in address spaces that lack its entry. vmalloc_observers.hpp says what they may
// find.
//
//   making        vmalloc(): nothing, then zeroed memory
//   tearing-down  vfree(): the memory with its content, then nothing
//
// And the reverse, with CPU 1 at work on the mapping while CPU 0 stands in the fault:
// vmalloc_changed_fault.cpp.
//
// As controls, without=shootdown lets a CPU go on with its TLB, and without=order writes the first
// word of a PAE entry, with the present bit, before the second.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/mappings/vmalloc_windows.h"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/vmalloc_observers.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

bool worked;

/// What a CPU that walks the tables would find now. With PAE an entry is two words: one that is
/// present must be whole, else a CPU may execute what is to be written.
void expect_whole_entry() {
    if constexpr (x86::format_of(paging).entry_size == 8) {
        const auto* const words =
            find_entry(kernel_space(), reinterpret_cast<uintptr_t>(mapping.address));
        if (words == nullptr)
            return;
        const uint64_t entry = *reinterpret_cast<const volatile uint64_t*>(words);
        const bool is_whole = ((entry & x86::page_entry::no_execute) != 0) == has_no_execute();
        if ((entry & x86::page_entry::present) != 0 && !is_whole)
            fail("an entry that is present is whole", 1, static_cast<uintptr_t>(entry));
    }
}

void body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    expect_whole_entry();
    look_at_mapping(false);
}

void prepare() {
    begin_pass(true);
    x86::enable_interrupts();
    restore_mapping();
    x86::disable_interrupts();
}

void check() {
    settle();
    expect_two_handlers(nullptr);
    if (!worked)
        fail("vmalloc() or vfree()", 1, 0);
    look_at_mapping(true);
}

const swept_path paths[] = {
    {"making",
     body,
     {[] { window_map(); }, prepare, both_handled, check},
     window_map_begin,
     window_map_end,
     true},
    {"tearing-down",
     body,
     {[] { window_unmap(); }, prepare, both_handled, check},
     window_unmap_begin,
     window_unmap_end,
     true},
};

void sweep_changes() {
    for (const swept_path& which : paths) {
        mapping.tearing_down = &which != paths;
        if (is_removed(mapping.tearing_down ? defence::order : defence::shootdown))
            continue; // what is made needs no flush, what is torn down no order
        mapping.mapped_seen = mapping.unmapped_seen = 0;
        sweep_or_trace(which, on_observed_fault);
        if (mapping.mapped_seen == 0 || mapping.unmapped_seen == 0)
            fail("both states seen", mapping.mapped_seen, mapping.unmapped_seen);
    }
}

void run(void*) {
    x86::disable_interrupts();
    // A nested NMI would abandon vmalloc() half-way, with the lock held.
    if (trap::current_policy() != trap::return_policy::iret && !is_removed(defence::leaf))
        sweep_changes();
    if (!is_removed(defence::order))
        sweep_changed_faults();
}

} // namespace

/// Interrupts on: who waits for other CPUs must let theirs in.
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void map_action() {
    x86::enable_interrupts();
    worked = make_mapping();
    x86::disable_interrupts();
}

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void unmap_action() {
    x86::enable_interrupts();
    worked = tear_down_mapping();
    x86::disable_interrupts();
}

void vmalloc_under_change() {
    start_observers();
    join(create_thread(0, run, nullptr, mapping.nmi_space));
    stop_observers();
}

} // namespace kernel
