// SPDX-License-Identifier: MIT
// What several of crash-* do.
#pragma once

namespace kernel {

/// Calls itself until the stack has ended. @context any
void overflow_stack();

} // namespace kernel
