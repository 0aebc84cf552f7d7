// SPDX-License-Identifier: MIT
// How a nested NMI goes back: two paths of nmi-latch.
#pragma once

namespace kernel {

/// Whether one has come in, nested, since the handler in progress began. @context nmi, CPU 0
bool nested_nmi_is_pending();

/// IRET to the next instruction: NMIs are open behind it. @context any, CPU 0
void unblock_nmis();

/// The paths stays-blocked and false-positive. @context thread, CPU 0, interrupts off
void nmi_nested_return();

} // namespace kernel
