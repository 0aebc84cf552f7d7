// SPDX-License-Identifier: MIT
// What a CPU owes to who waits for a grace period (kernel/smp/grace_period.hpp): an answer when its
// preempt count is 0. Asked in a preempt-disabled section, it answers at the end of that section,
// though another one follows at once: a bit of the word with the count (nobody_waits) lets the
// subtraction itself tell, so that the end of a section costs one jump more, and no look.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// A number for a grace period that begins now. Each answer covers all before it. @context any
uint32_t new_grace_period();

/// The latest grace period that a CPU has answered. @context any
uint32_t grace_period_answered(uint32_t cpu_id);

/// Asks this CPU: it answers now if its count is 0, else at the end of the section. Not so if an
/// irq_exit() or a checkpoint ends it: who waits asks again. @context irq, not counted
void answer_grace_period();

/// Answers, if the count is 0 and somebody waits. Called where the count has just come down to 0.
/// @context thread or irq
void note_end_of_section();

} // namespace kernel
