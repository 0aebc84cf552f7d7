// SPDX-License-Identifier: MIT
// The end of the run.
#pragma once

namespace kernel {

/// Ends the emulator: QEMU through isa-debug-exit (exit status 33 if `ok`, else 35), Bochs through
/// its shutdown port. Without either the CPU stops for good. Prints nothing. @context any
[[noreturn]] void finish(bool ok);

/// The same after an experiment that has printed all its rows, and says so. @context any
[[noreturn]] void finish_with_done();

} // namespace kernel
