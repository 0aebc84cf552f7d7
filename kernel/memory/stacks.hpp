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

#ifdef NMISAFE_SHADOW_STACK
/// A new shadow stack, of one page with a guard page below: the address of its last word, which is
/// the token of a stack that is not busy. @context thread
uintptr_t allocate_shadow_stack();

/// Makes that the shadow stack of a thread that is to begin at `ip`, and @return the token to
/// switch to. Nobody runs on it. @context thread
uintptr_t prepare_shadow_stack(uintptr_t last_word, uintptr_t ip);
#endif

/// Gives a CPU the stacks for its NMI, #DF, #MC and #DB, or the same ones again. @context boot,
/// before that CPU runs
void set_up_interrupt_stacks(cpu& owner);

/// The top of the stack that `sp` is on; `sp` itself if it is on none of these. @context any
uintptr_t stack_top(uintptr_t sp);

/// Lies `address` in the guard page of a stack, used or not? @context any
bool in_guard_page(uintptr_t address);

} // namespace kernel
