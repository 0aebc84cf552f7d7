// SPDX-License-Identifier: MIT
// The end of a run that went wrong: one line that says what, where and with which registers.
#pragma once

#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// Stops all CPUs, prints one @panic record and ends the run as failed. The record names each CPU
/// that did not stop within two seconds of an NMI; of several CPUs that panic one prints. `frame`
/// may be null; `value` is the word `what` is about. Needs little stack; when called again from
/// inside itself it prints that too, and the third time it only stops. @context any
[[noreturn]] void panic(const char* what, const nmisafe::x86::trap_frame* frame, uintptr_t value);

/// A panic is under way. @context any
bool panicking();

/// Makes a double fault a panic. @context boot, once
void set_up_double_fault();

} // namespace kernel
