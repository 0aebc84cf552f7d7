// SPDX-License-Identifier: MIT
// Modules without code, as many as there is room for, and one more. @context thread
#pragma once

namespace kernel {

/// Prints a row for the path "numbers".
void try_module_numbers();

} // namespace kernel
