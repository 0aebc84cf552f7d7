// SPDX-License-Identifier: MIT
// What modules leave behind in others' lists when they go. @context thread
#pragma once

namespace kernel {

/// Prints rows for the paths "on-marker" and "forgotten".
void try_to_outlive_modules();

} // namespace kernel
