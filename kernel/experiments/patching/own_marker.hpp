// SPDX-License-Identifier: MIT
// The path own-marker of the experiment marker-in-nmi.
#pragma once

namespace kernel {

void own_marker();

} // namespace kernel
