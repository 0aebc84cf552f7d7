// SPDX-License-Identifier: MIT
// What all experiments share: the counters of a row, an NMI handler that notices when it is
// re-entered or its frame overwritten, and a way out of the wreck, so that a control ends in an
// orderly way.
//
// One CPU, number 0, is under test; others only send it NMIs. All of this is written by CPU 0, with
// the exception of the sender's words.
#pragma once

#include "kernel/cpu/checkpoint.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/experiments/shared/shared_word.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/trap/policy.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// The numbers of one row, as the report has them.
struct tally {
    shared_count boundaries; // distinct instruction boundaries, or injections, of this row
    shared_count raised;     // NMIs raised
    shared_count handled;    // NMI handlers started
    shared_count nested;     // of these: started while another was in progress
    shared_count lost;       // raised, and no handler started afterwards
    shared_count corrupted;  // NMI frames that changed while their handler ran
    shared_count failures;   // anything else that was not as it must be
};

struct nmi_scene {
    tally count;

    /// What the handler does, when it is not nested. Null: nothing.
    void (*body)(nmisafe::x86::trap_frame&);

    /// What it does to its frame, when that has been seen to be as it was. Null: nothing.
    void (*edit)(nmisafe::x86::trap_frame&);

    /// Which page fault or breakpoint handlers ran since the injection began.
    shared_count breakpoints;
    shared_count page_faults;

    /// Passes of a sweep in which two NMIs may have been handled as one: every_instruction.hpp.
    uint32_t merged;

    /// Set from the start of a handler to its end.
    shared_flag in_handler;

    /// Every raise takes a ticket, every handler start honours all tickets given so far. NMIs that
    /// the hardware merged are honoured together; one that was lost leaves a ticket behind.
    shared_count tickets;
    shared_count honoured;
    shared_count sender_tickets;
    shared_count sender_honoured;

    /// The return addresses of NMIs that were delivered at once: one bit for each byte of text.
    shared_flag record_ip;

    /// A page of code outside of the kernel's text that is recorded too: a task's. 0: none.
    uintptr_t other_text;

    /// The interrupted stack pointer may be a task's, anything at all: no sign of a stack run over.
    bool distrusts_sp;
};

extern nmi_scene scene;

/// Installs the scene's NMI, #BP and #PF handlers and clears all counters.
void set_scene(void (*body)(nmisafe::x86::trap_frame&));

/// That of NMIs, for an experiment's own to call. @context nmi
void handle_scene_nmi(nmisafe::x86::trap_frame& frame);

/// Those of #BP and #PF, for events in ring 0. @context any
bool handle_scene_breakpoint(nmisafe::x86::trap_frame& frame);
bool handle_scene_page_fault(nmisafe::x86::trap_frame& frame, uintptr_t address);

/// Runs `action`, or as much of it as happens before a nested NMI abandons it.
/// @context thread, CPU 0. Returns false if it was abandoned.
bool run_guarded(void (*action)());

/// Runs `action` until it has once come to its end: after a nested NMI it begins anew. For actions
/// during which others send NMIs at any time. @context thread, CPU 0
void run_to_the_end(void (*action)());

/// Abandons the NMI handlers in progress and goes back to where the action was started. @context
/// nmi, CPU 0.
[[noreturn]] void abandon();

/// An NMI to this CPU, with a ticket. The next instruction boundary takes it, if NMIs are not
/// blocked.
void raise_nmi_here();

/// The same, with the command to the local APIC as the first instruction of a window_nmi_*.
typedef void nmi_window
    [[NMISAFE_ASSEMBLY_CALL]] (volatile uint32_t* command_register, uint32_t command);
void raise_nmi_in_window(nmi_window* window);

/// Waits a bounded time until all tickets given here are honoured; a ticket left over counts as
/// lost.
void settle();

/// Ticks of the HPET in a time. @context any
uint32_t ticks_in(uint32_t microseconds);

inline constexpr uint32_t longest_wait_microseconds = 20'000'000;

/// A turn of a waiting loop. Without PAUSE, and to be called many times before a device is asked
/// for the time: QEMU takes one lock for each PAUSE and each device access, and who holds it most
/// of the time keeps the other CPUs from getting on. @context any
inline void wait_a_little() {
    for (unsigned i = 0; i < 100; ++i)
        asm volatile("");
}

/// Waits until `condition` holds; false if it does not within a time that only a lost NMI, or a
/// very busy host, can take. @context any
template <typename Condition>
bool wait_for(Condition condition) {
    const uint32_t start = ticks();
    do {
        for (unsigned turn = 0; turn < 20000; ++turn) {
            if (condition())
                return true;
            wait_a_little();
        }
    } while (ticks() - start < ticks_in(longest_wait_microseconds));
    return condition();
}

/// Something was not as it must be: counted and, for the first few, explained on the console.
void fail(const char* what, uintptr_t expected, uintptr_t found);

/// What the lock checker hooks do, first in nmi_enter() and last in nmi_exit(): of NMI, #DB and
/// #MC. Null: nothing. Fails in an image that has none.
void set_nmi_window_hook(void (*hook)());

/// INT3, and a write to test page `number` that faults the first time: both go through the scene's
/// handlers. @context any.
void hit_breakpoint();
void touch_page(unsigned number);

/// A CPU pushes RF=1 with every fault, QEMU 7.2 does not: made alike in the frame, so that the
/// return sees what a CPU shows it. [intel/vol3 17.3.1.1] @context a page fault's handler
void show_resume_flag(nmisafe::x86::trap_frame& frame);

/// The ABI of the handlers: an interrupted DF=1 must not reach them. @context any handler
void expect_direction_flag_clear();

/// Whether test page `number` is mapped. @context any
bool test_page_is_mapped(unsigned number);

/// Makes all CPUs' IRETs inside NMIs those of this one, for the row. @context any
void gather_unsafe_irets();

/// A number that only one experiment has.
struct extra_number {
    const char* key;
    uintptr_t value;
};

/// Prints the row. `path` and the extra's key may be null. `delivered_at_once` says that the return
/// addresses of the row's NMIs were recorded.
void print_row(const char* path, bool delivered_at_once = false, extra_number extra = {});

/// Prints the return addresses recorded.
void print_recorded(const char* path);

/// Prints the addresses between which the tool finds the path in QEMU's log.
void print_window(const char* path, const char* begin, const char* end);

/// Prints between which addresses the tool counts instructions in QEMU's log, from `from` until
/// before `to`, spent on so many items.
void print_measure(const char* name, const char* from, const char* to, uint32_t items = 1);

/// The return addresses seen: one more, which must be in the kernel's text; whether this is one;
/// cleared, and counted.
void record_address(uintptr_t ip);
bool is_recorded(uintptr_t ip);
void clear_recorded();
uint32_t recorded();

} // namespace kernel
