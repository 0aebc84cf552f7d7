// SPDX-License-Identifier: MIT
// Stacks with a guard page below each, so that an overflow is a double fault and not corrupt data.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

/// Chooses the size of all stacks: the option stack=<bytes>, by default all of a slot. Panics with
/// "stack too small" below what the library needs. @context boot, once
void set_up_stacks();

/// The top of a new stack, 16-byte aligned. Panics when there are none left. @context thread
uintptr_t allocate_stack();

/// Gives a CPU the stacks for its NMI, #DF, #MC and #DB. @context boot, before that CPU runs
void set_up_interrupt_stacks(cpu& owner);

/// The top of the stack that `sp` is on; `sp` itself if it is on none of these. @context any
uintptr_t stack_top(uintptr_t sp);

/// Lies `address` in the guard page of a stack, used or not? @context any
bool in_guard_page(uintptr_t address);

} // namespace kernel
