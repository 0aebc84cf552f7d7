// SPDX-License-Identifier: MIT
// The defences that are this kernel's own and that a test may take out, to show that the test fails
// without them. The library's are in nmisafe/trap/controls.h; as there, nothing of this remains in
// an image without NMISAFE_TRAP_CONTROLS.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

enum class defence : uint32_t {
    int3 = 1,       ///< The INT3 that write_text() is to put on the sites of a batch.
    emulate = 2,    ///< What the handler of that INT3 does to the registers.
    shootdown = 4,  ///< The flush of the other CPUs' TLBs.
    grace = 8,      ///< The wait for those who look at what is about to go.
    cr3 = 16,       ///< That a page fault is looked up in CR3's address space, not in the thread's.
    leaf = 32,      ///< That a page fault is tried again only if the last level allows the access.
    lock = 64,      ///< The lock of who changes mappings.
    order = 128,    ///< That a new entry's word with the present bit is written last, with PAE.
    close = 256,    ///< That code which comes or goes is closed to probes, and rid of them.
    refuse = 512,   ///< That nobody waits for other CPUs in a handler.
    reload = 1024,  ///< That CPUs load CR3 when a top-level entry has come, with PAE.
    section = 2048, ///< That the end of a section is noticed by who waits for it.
    cap = 4096,     ///< The most hits of markers that may be under way on a CPU.
    early = 32768,  ///< The vectors of a CPU that starts, before it has the kernel's IDT.
    target = 8192,  ///< That an NMI handler leaves the local APIC the target of a command that it
                    ///< interrupts.
    clac = 65536,   ///< CLAC at the begin of the stubs of user mode.
    fresh_time = 131072, ///< That an event's time is read while it is reserved, not before.
    exchange = 262144,   ///< The compare-exchange of who reserves an event.
    two_lines = 524288,  ///< The second line of a trace clock.
    guard = 4194304,     ///< That a profiler's fault on a bad frame pointer is known as such.
    endbr = 16384,       ///< The ENDBR at the begin of the stub of #BP.
};

#ifdef NMISAFE_TRAP_CONTROLS
/// Set once, while one CPU runs.
extern uint32_t removed_defences;

[[gnu::always_inline]] inline bool is_removed(defence which) {
    return (removed_defences & static_cast<uint32_t>(which)) != 0;
}
/// Whether all are there.
inline bool is_defended() {
    return removed_defences == 0;
}
#else
[[gnu::always_inline]] constexpr bool is_removed(defence) {
    return false;
}
constexpr bool is_defended() {
    return true;
}
#endif

} // namespace kernel
