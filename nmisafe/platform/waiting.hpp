// SPDX-License-Identifier: MIT
/// Whether other CPUs may be waited for: asked first by all that do.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/contract.hpp"

namespace nmisafe::platform {

enum class waiting : uint8_t {
    allowed = 0,
    in_nmi,   ///< This is an NMI handler.
    not_here, ///< Interrupts are off, say.
};

/// The answer is may_synchronise()'s. Only where it is no are the words of this CPU looked at, to
/// say why: interrupts are off there, so the thread stays on the CPU whose words it has found. With
/// them on it may go on elsewhere between finding and reading, and read of another CPU's NMI.
/// @context any
inline waiting waiting_here() {
    if (contract::may_synchronise())
        return waiting::allowed;
    return contract::this_cpu().nmi_in_progress != 0 ? waiting::in_nmi : waiting::not_here;
}

} // namespace nmisafe::platform
