// SPDX-License-Identifier: MIT
/// Why a probe is refused. Of all these only `busy` passes by itself: whoever gets it may try
/// again, as often as it takes. With any other the same call fails again until somebody has changed
/// what the error names.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::kprobe {

enum class probe_error : uint8_t {
    in_nmi = 1,         ///< Asked for in an NMI handler, where nobody may wait for other CPUs.
    cannot_synchronise, ///< The platform cannot reach the other CPUs from here (interrupts off),
                        ///< or this is a handler, for which remove() would wait.
    busy,               ///< Another insert(), remove() or text_patch::apply() is at work, or has
                        ///< changed the instruction since the checks.
    wrong_state,        ///< Inserted already, or not inserted, or not released yet; closed already.
    no_probe,           ///< In code that must not be probed: the trap path, a slot.
    not_text,           ///< Not code, as the platform sees it, or closed to probes.
    unknown_instruction, ///< From `function` to `address` is something the decoder refuses.
    not_boundary,        ///< `address` is within an instruction, or before `function`, or another
                         ///< probe's instruction overlaps its own.
    occupied,            ///< There is a probe already. From close(): it stands in the way.
    unsupported,         ///< An instruction that can be neither stepped nor emulated (README.md).
    no_slot,             ///< The instruction needs a slot, and there is none.
    bad_slot,            ///< The slot is not aligned, not code, in no-probe code, in use,
                         ///< probed, or part of what is to be probed.
    out_of_range,        ///< From the slot, the operand relative to the instruction is too far.
    unexpected_bytes,    ///< The instruction is not what it was for the checks, and it was not
                         ///< text_patch that changed it.
};

} // namespace nmisafe::kprobe
