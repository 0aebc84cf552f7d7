// SPDX-License-Identifier: MIT
/// Breakpoint probes: a handler before and one after an instruction, in any context, in an NMI too.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/probe_error.hpp"
#include "nmisafe/platform/frame.hpp"

namespace nmisafe::kprobe {

/// Memory that a probe may need for a copy of its instruction: so many bytes of code, so aligned.
inline constexpr size_t slot_size = 32;

/// A probe's handler. In the frame, ip is the probed instruction's address before it, and after it
/// where the CPU goes on. The handler may change the general registers and the arithmetic flags;
/// ip, sp, cs, IF and TF it leaves alone.
///
/// On x86-64 frame.sp is the interrupted stack pointer; on x86-32, after a near RET or an indirect
/// JMP, interrupted_sp() is still what it was before.
///
/// It runs with interrupts off, in an NMI if that hit the probe, and also inside another probe's
/// handler if that was interrupted by the NMI. So it waits for nothing and touches resident memory
/// only. A probe that it hits itself is missed (`probe::missed`).
/// @context any
using handler = void (*)(probe&, platform::frame&);

/// One probe. The caller fills in the first part, and leaves all of it alone and resident from
/// insert() to release().
struct probe {
    uintptr_t address;  ///< The instruction.
    uintptr_t function; ///< Where to decode from: an instruction at or before `address`. Those
                        ///< between the two keep their lengths while the probe is inserted.
    uintptr_t slot;     ///< slot_size bytes of code that nobody else uses. 0: there are none.
    handler pre;        ///< May be null.
    handler post;       ///< May be null.
    void* argument;     ///< For the handlers; nobody else looks at it.

    // Counted from insert() on, over all CPUs. To be read at any time.
    uint32_t hits;      ///< Passes of the pre handler.
    uint32_t completed; ///< Passes of the post handler: in the end as many as hits.
    uint32_t missed;    ///< Hit inside a handler: executed without calling any.

    internal::probe_data internal;
};

/// Puts a probe on an instruction.
///
/// Everything is checked before the instruction is written. Who patches it meanwhile by
/// text_patch::apply(), by immediate::set() or by turning a marker on or off, does so before this,
/// which is `busy` then, or finds the INT3 and is refused. So the instruction under a probe stays
/// what it is until remove(). Costs two synchronisations of all CPUs,
/// without a slot one.
///
/// @context thread, interrupts on. @return the length of the instruction.
base::expected<size_t, probe_error> insert(probe& what);

/// Takes a probe off. When it returns, no handler of the probe runs any more, nor will one. But a
/// thread may still be in the slot, interrupted there, and come out later: so the probe and the
/// slot stay the library's until release(). Costs one synchronisation.
///
/// It goes also if the INT3 or the code has gone: then nothing is written. With an error (`busy`,
/// `wrong_state`, and where probes are refused by now: `no_probe`) nothing has changed.
///
/// @context thread, interrupts on. @return how often it was hit.
base::expected<size_t, probe_error> remove(probe& what);

/// Gives a removed probe and its slot back to the caller, who knows that since remove() every
/// thread has run outside of the slot: none was preempted in it and has not run since. (Linux calls
/// such a wait a grace period of RCU tasks.) A kernel that cannot tell keeps the probe for good.
/// Costs one synchronisation: handlers of other probes may be looking at this one.
///
/// @context thread, interrupts on. @return slot_size, or 0 if there is no slot.
base::expected<size_t, probe_error> release(probe& what);

/// For the embedding kernel's #BP handler to call after text_patch::handle_breakpoint(). True if
/// the INT3 was a probe's, or the end of a slot: then the frame goes on with the instruction
/// executed, or in the slot. False: the breakpoint is somebody else's.
///
/// @context any, interrupts off; also before the preempt count says NMI, and after. Takes no lock,
/// waits for nothing; besides what the handlers do it touches the frame, the probe, the byte that
/// trapped and the stack word of an indirect branch.
bool handle_breakpoint(platform::frame& frame);

/// The probed instruction's address for an instruction pointer in a slot (the next one's, where a
/// copy of it has been executed), any other as it is. Whoever looks at the instruction pointer of a
/// trap's or an interrupt's frame asks this first: who may fault and goes on elsewhere, what a
/// crash reports, which function was interrupted, the return addresses of a stack. To be left as it
/// is: what says where the CPU goes on, or what a debug register is compared with.
/// @context any, interrupts off: release() waits for nobody else
uintptr_t original_address(uintptr_t ip);

} // namespace nmisafe::kprobe
