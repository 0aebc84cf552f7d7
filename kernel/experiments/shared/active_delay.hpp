// SPDX-License-Identifier: MIT
// The RFC's delay: for 10 ms something is active that NMI handlers run into, while NMIs are raised
// from everywhere.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// To be called first by the scene's body. Each first handler of a pass raises the NMI that is to
/// be held off until it has ended. @context nmi, CPU 0
void raise_second();

/// For 10 ms, and until the other CPU has sent enough, lets CPU 0 raise NMIs for itself while CPU 1
/// keeps sending NMIs as fast as they are answered. After a nested NMI it begins anew. When it
/// returns all NMIs have been handled. @return NMIs raised by this CPU and sent by the other.
/// @context thread, CPU 0, interrupts on
struct nmis_of_delay {
    uint32_t passes;
    uint32_t sent;
};
nmis_of_delay delay_under_nmis();

/// What the other CPU must have sent for a delay to mean anything.
inline constexpr uint32_t least_sent_in_delay = 100;

} // namespace kernel
