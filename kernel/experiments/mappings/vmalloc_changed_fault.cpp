// SPDX-License-Identifier: MIT
// vmalloc-under-change's paths through the page fault itself. A thread on CPU 0 reads the mapping,
// twice, in an address space that lacks its entry. At every instruction boundary on the way an NMI
// arrives, and while its handler runs CPU 1 changes what the fault is about:
//
//   fault-while-created    vmalloc(): the kernel's own table has no entry either, CPU 1 makes that
//                          too, and all tables below
//   fault-while-torn-down  vfree(), until the mapping is gone from the tables; its page must stay,
//                          since CPU 0 has yet to flush
//
// An access that begins after vmalloc() must work; one that was under way may find nothing. None
// may fault more often than the mapping has changed.
//
// As controls, without=shootdown lets CPU 0 go on with its TLB, and without=leaf lets a page fault
// be tried again as long as there is an entry that leads to a table. Under the policy iret the
// handler's own fault lets the next NMI in.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/mappings/vmalloc_windows.h"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/shared/vmalloc_observers.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr unsigned reads_of_pass = 2;
constexpr unsigned no_read = ~0U;

struct read_result {
    bool found;
    uint32_t value;
};
read_result reads[reads_of_pass];
shared_count reads_done;
observer thread_observer; // apart from the handler's, whose accesses come in between

/// How the change lies to the reads: those before `changed_in` were over by then. That one itself
/// was under way, unless the NMI came right before its instruction; then it is no_read.
shared_word<uint32_t> reads_before;
shared_word<uint32_t> changed_in;
shared_count under_way[2]; // of those: how many found nothing, and how many the mapping

/// Of the access at hand, in CPU 0's thread and in its NMI handler.
shared_count faults[2];

// --- the change ---------------------------------------------------------------------------------

/// The mapping's last-level entry, when it is to be torn down. Found beforehand: a walk would drive
/// the mapping out of QEMU's TLB.
const volatile uintptr_t* leaf;

/// As look_at_mapping(), without the other CPU, which may be at work on the change.
void look(bool is_over) {
    faults[true] = 0;
    look_from_here(is_over);
}

/// When it returns the change can be seen by every walk of the tables. vfree() waits for this CPU,
/// which has interrupts off.
void change_now() {
    if (!mapping.tearing_down) {
        ask_other(request::make);
        return;
    }
    start_other(request::tear_down);
    const uint32_t start = ticks();
    while ((*leaf & x86::page_entry::present) != 0) {
        if (reads_done != 0) // else the fault has not heard of it yet, and shall not by this
            look(false);     // keeps it in the TLB
        x86::pause();
        if (ticks() - start > ticks_in(longest_wait_microseconds)) {
            fail("the other CPU clears the entry", 0, 1);
            return;
        }
    }
}

/// Takes the entry that leads to the mapping, and all tables below it, from the kernel's own table
/// again. The library never does that. Here nothing else is in that entry, and all address spaces
/// have forgotten it.
void forget_in_kernel_space() {
    const auto address = reinterpret_cast<uintptr_t>(mapping.address);
    uintptr_t* const shared = find_entry(kernel_space(), address, vmalloc_area.shared_level());
    uintptr_t tables[3];
    unsigned count = 0;
    for (unsigned level = vmalloc_area.shared_level(); level > 1; --level) {
        const uintptr_t* const entry = find_entry(kernel_space(), address, level);
        if ((*entry & x86::page_entry::present) == 0)
            return; // this pass has not made it
        tables[count++] = *entry & ~(page_size - 1);
    }
    *shared = 0;
    while (count != 0)
        free_page(tables[--count]);
}

// --- the NMI handler ----------------------------------------------------------------------------

/// While the other CPU goes on: it would give the page away now, if it did not wait for this CPU.
void look_on() {
    constexpr unsigned turns = 10;
    for (unsigned i = 0; i < turns; ++i) {
        x86::pause();
        look(!mapping.tearing_down);
    }
}

void body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame)) {
        raise_nmi_here();
        reads_before = reads_done;
        const uintptr_t ip = kprobe::original_address(frame.ip);
        changed_in = ip == text_address(kernel_try_read_access) ? no_read : reads_done;
        change_now();
        look_on();
    }
    faults[true] = 0;
    look_at_mapping(!mapping.tearing_down);
}

/// A control: looks for an entry of the shared level alone, as if that were all that can lack.
bool naive_verdict(vmalloc::fault result, uintptr_t at) {
    return is_removed(defence::leaf) && result == vmalloc::fault::bad &&
           find_entry(thread_space(), at) != nullptr;
}

bool on_page_fault(trap_frame& frame, uintptr_t at) {
    if (this_cpu().id != 0)
        return on_observed_fault(frame, at);
    show_resume_flag(frame);
    shared_count& count = faults[context::in_nmi()];
    ++count;
    // One for each state of the mapping that it can have found.
    const uint32_t most = mapping.tearing_down ? 2 : 1;
    if (count > most) {
        fail("page faults of one access", most, count);
        return give_up_access(frame);
    }
    const vmalloc::fault result = handle_lazy_fault(frame, at);
    return result == vmalloc::fault::resolved || naive_verdict(result, at) || give_up_access(frame);
}

// --- before and after each injection ------------------------------------------------------------

void prepare() {
    begin_pass(true);
    x86::enable_interrupts();
    finish_other(); // of a pass that was abandoned
    restore_mapping();
    if (mapping.tearing_down)
        leaf = find_entry(kernel_space(), reinterpret_cast<uintptr_t>(mapping.address));
    else
        forget_in_kernel_space();
    x86::disable_interrupts();
    reads_done = 0;
    reads_before = reads_of_pass;
    changed_in = no_read;
    thread_observer.seen_later = false;
}

void judge_reads() {
    for (uint32_t i = 0; i < reads_of_pass; ++i) {
        const auto& [found, value] = reads[i];
        const bool is_earlier = found == mapping.tearing_down;
        if (i < reads_before && !is_earlier)
            fail("the mapping before it was changed", mapping.tearing_down, found);
        // Of one that was under way only what it read is judged.
        observer while_changed;
        observer& who = i == changed_in ? while_changed : thread_observer;
        const bool is_after = i >= reads_before && i != changed_in;
        if (i == changed_in)
            ++under_way[found];
        if (is_after && own_observer().seen_later)
            who.seen_later = true;
        judge_access(who, found, value, is_after && !mapping.tearing_down);
    }
}

void check() {
    settle();
    expect_two_handlers(nullptr);
    judge_reads();
    x86::enable_interrupts();
    finish_other();
    x86::disable_interrupts();
    faults[false] = 0;
    look_at_mapping(true);
}

constexpr swept_path created = {
    "fault-while-created",
    body,
    {[] { window_fault_created(); }, prepare, both_handled, check},
    window_fault_created_begin,
    window_fault_created_end,
    true,
};
constexpr swept_path torn_down = {
    "fault-while-torn-down",
    body,
    {[] { window_fault_torn_down(); }, prepare, both_handled, check},
    window_fault_torn_down_begin,
    window_fault_torn_down_end,
    true,
};

/// A trace changes nothing, a nested NMI abandons the pass.
bool is_swept_to_its_end() {
    return option("mode") != "trace" && scene.count.nested == 0;
}

void sweep_path(const swept_path& which) {
    mapping.tearing_down = &which == &torn_down;
    under_way[false] = under_way[true] = 0;
    sweep_or_trace(which, on_page_fault);
    // Or no change has come between the fault and what it looks at.
    if (is_swept_to_its_end() && (under_way[false] == 0 || under_way[true] == 0))
        fail("reads under way that ended either way", under_way[false], under_way[true]);
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void read_twice_action() {
    for (read_result& read : reads) {
        faults[false] = 0;
        read.found = try_read(mapping.address, read.value);
        ++reads_done;
    }
}

void sweep_changed_faults() {
    if (is_defended())
        sweep_path(created);
    sweep_path(torn_down);
}

} // namespace kernel
