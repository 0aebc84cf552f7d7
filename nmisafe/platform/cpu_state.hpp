// SPDX-License-Identifier: MIT
/// The words the library keeps for each CPU, placed by the embedding kernel in its per-CPU data.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::platform {

/// One of these per CPU, zero at boot, reachable in NMI (never lazily mapped: a page fault is the
/// very event it helps to survive).
///
/// Only the owning CPU writes it, and an NMI may land between any two of its instructions. So every
/// counter is changed by one read-modify-write instruction; another CPU may read the words and sees
/// a recent value of each, not a snapshot of all.
struct cpu_state {
    /// What DR7 is to be, and is whenever no NMI, #DB or #MC is in progress here. Written by
    /// trap::set_debug_control() alone, in any context; read by returns, which must not lose an RF
    /// that matters (trap/breakpoints.hpp).
    uintptr_t debug_control;
    /// NMI handlers in progress on this CPU: written by the NMI entry and exit, in NMI. Unlike the
    /// preempt count's NMI field it does not count #DB and #MC.
    uint32_t nmi_in_progress;
    /// The same for #DB and #MC. While one of the two words is not 0, all breakpoints are off.
    uint32_t nmi_like_in_progress;
    /// x86-32: an NMI's handler is to run or runs here, and one came meanwhile (trap/nmi_x86_32.S,
    /// which knows that the words are neighbours). Written in NMI.
    uint32_t nmi_latch;
    uint32_t nmi_pending;
    /// Kernel-to-kernel exception returns that took IRET because the image was not plain (TF, NT,
    /// VM, another CS, or an RF that had to survive). Written by the exception return, any context.
    uint32_t iret_returns;
    /// Returns by IRET, for whatever reason, the policy among them, that left an exception nested
    /// in an NMI and so unblocked NMIs too early. Written by the exception return, in NMI.
    uint32_t iret_returns_in_nmi;
    /// Exception returns that took the NMI-safe way. Written by the exception return, any context.
    uint32_t safe_returns;
    /// Why the latest of iret_returns was not plain: a value of the trap module's, 0 for none yet.
    /// Written by the exception return, any context.
    uint32_t last_iret_reason;
    /// Whether a probe's handler is in progress, in the NMI (1) or in what an NMI interrupts (0), a
    /// #DB or #MC among it. Written by the probe's breakpoint handler with interrupts off, any
    /// context.
    uint8_t in_probe_handler[2];
    /// Whether an NMI's handler is in progress in which breakpoints may be armed
    /// (trap/nmi_debug.hpp). Written by the NMI, before and after the handler.
    uint32_t nmi_handler_debugged;
    /// Hits of markers that called nothing, because too many were under way already. Written at the
    /// hit, any context.
    uint32_t dropped_hits;
    /// What DR7 is to be in an NMI's handler, 0 if nobody has said so. Written by
    /// trap::set_nmi_debug_control() alone, in any context; read by returns, as debug_control is.
    uintptr_t nmi_debug_control;
#ifdef __x86_64__
    /// The frame of the latest #DB in progress, or of one before it. Written by #DB.
    uintptr_t debug_frame;
    /// Where a #DB begins outside of NMI handlers and in them: what the IST entry is made to say,
    /// and with shadow stacks the word of their table. Null if trap::set_up_nmi_debugging() was not
    /// called. Written by it, read in NMI.
    struct {
        uint64_t* entry;
        uint64_t outside;
        uint64_t in_nmi;
        uint64_t* shadow_entry;
        uint64_t shadow_outside;
        uint64_t shadow_in_nmi;
    } debug_stacks;
#endif
};

static_assert(
    std::is_trivially_default_constructible_v<cpu_state> && std::is_standard_layout_v<cpu_state>,
    "cpu_state lives in zeroed per-CPU memory, and an embedder's assembly may know offsets");

} // namespace nmisafe::platform
