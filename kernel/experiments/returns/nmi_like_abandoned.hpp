// SPDX-License-Identifier: MIT
#pragma once

namespace kernel {

/// The path abandoned of nmi-like. Leaves its handlers of NMI, #DB and #MC behind. @context thread, CPU 0
void nmi_like_abandoned();

} // namespace kernel
