// SPDX-License-Identifier: MIT
// What modules leave behind in others' lists when they go. @context thread
#pragma once

namespace kernel {

/// Prints rows for the paths "on-marker" and "forgotten".
void try_to_outlive_modules();

/// The control: nobody takes off what a module has left. Ends with a row for the path "forgotten",
/// in which an NMI meets that.
void meet_what_is_left();

} // namespace kernel
