// SPDX-License-Identifier: MIT
/// Replaces instructions on running CPUs, any of which may be executing them, also in an NMI.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/frame.hpp"
#include "nmisafe/text_patch/internal/effect.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::text_patch {

/// INT3, the one instruction that fits over the first byte of any other.
inline constexpr uint8_t breakpoint = 0xcc;

/// One instruction to be replaced by another of the same length. Both must be of the forms that
/// README.md lists, so that the breakpoint handler can stand in for either.
///
/// A probe is a patch of size 1 that puts INT3 on the first byte of an instruction, or takes it
/// off: then that instruction may be any, and whoever hits it is left to the probe's own handler.
struct patch {
    uintptr_t address;
    /// Where to decode from, to be sure that an instruction begins at `address`: one at or before
    /// it. 0: the caller is sure, as a table is that the assembler wrote together with the code.
    uintptr_t function;
    /// For a CALL: the address of code that does `call target; jmp next`. It runs in place of the
    /// CALL, because the handler cannot push a return address (README.md), and stays longer than
    /// apply() takes: see there. 0 if it is none.
    uintptr_t stub_before;
    uintptr_t stub_after;
    uint8_t size;
    /// Of a probe: how long its instruction is, if all of it must be as in `before`. 0: `size`.
    uint8_t expected_size;
    uint8_t before[x86::maximum_instruction_length]; ///< What the caller takes to be there.
    uint8_t after[x86::maximum_instruction_length];
    internal::prepared internal; ///< apply()'s own.
};

/// Of all these only `busy` passes by itself: whoever gets it may try again, as often as it takes.
/// With any other the same call fails again until somebody has changed what the error names.
enum class patch_error : uint8_t {
    in_nmi = 1,          ///< Asked for in an NMI handler, where nobody may wait for other CPUs.
    cannot_synchronise,  ///< The platform cannot reach the other CPUs from here (interrupts off).
    busy,                ///< Another apply() is at work. Not waited for: try again.
    no_room,             ///< More sites than the storage given holds. (Never from apply().)
    bad_size,            ///< The size is 0 or more than an instruction has; or expected_size is
                         ///< more, or less than the size, or not that though this is no probe.
    no_probe,            ///< In code that must not be patched; or `function` is given, and the
                         ///< instruction before loads SS: INT3 would find no stack.
    not_text,            ///< Not code, as the platform sees it.
    unknown_instruction, ///< Before or after: no form the handler emulates, or not of that length.
    bad_stub,            ///< The stub of a CALL is missing, does not do what the CALL does, or is
                         ///< patched in the same batch.
    overlap,             ///< Two patches of the batch touch the same byte, or one touches what
                         ///< another expects.
    unexpected_bytes,    ///< The site holds something else than `before`.
    not_boundary,        ///< Decoding from `function` on does not come to the site, or meets what
                         ///< leaves it in doubt: data, an INT3.
};

/// Replaces the instructions of a batch, all or (with an error) none.
///
/// The batch changes at one instant: until then every CPU executes the instruction before at every
/// site, from then on the one after, whatever context it is in. When apply() returns, no CPU
/// executes an instruction of before any more, and none looks at the batch.
///
/// Except a CALL: whoever hit its INT3 may be interrupted at the stub, before this has called, and
/// a thread may be preempted there. So the target of before may still be called after apply() has
/// returned, and what a stub has called returns to the stub. That target and both stubs must stay
/// as they are until every thread has, since then, run outside of them and of all that they call:
/// one that sleeps in a target is inside. (So Linux's grace period of RCU tasks is enough only if
/// no target sleeps.) A caller that cannot tell keeps them for good.
///
/// Costs three synchronisations of all CPUs, for any number of patches. The array is sorted in
/// place by address (heap sort, and only if it is not sorted yet), also when the batch is refused;
/// it must stay where it is and be resident until apply() returns. An empty batch does nothing.
///
/// @context thread, interrupts on. @return the number of patches.
base::expected<size_t, patch_error> apply(patch* patches, size_t count);

/// For the embedding kernel's #BP handler to call first of all. True if the INT3 was one of
/// apply()'s: the frame then goes on as if the CPU had executed the instruction before or after,
/// or, if that is a CALL, at the stub that does. True too, with the instruction to be executed
/// anew, if the INT3 has gone meanwhile. False: the breakpoint is somebody else's.
///
/// @context any, also before an NMI is counted. Takes no lock, waits for nothing, and touches the
/// frame, the batch and the byte that trapped, all of which are resident. An INT3 in the two-byte
/// form CD 03 must not be in the text.
bool handle_breakpoint(platform::frame& frame);

} // namespace nmisafe::text_patch
