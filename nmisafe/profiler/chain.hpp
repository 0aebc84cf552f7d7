// SPDX-License-Identifier: MIT
/// The calls that have led to what a trap has interrupted, by the chain of frame pointers.
///
/// Nothing of it is believed. Code without frame pointers keeps anything in (E)BP, code in the
/// middle of a switch of stacks has one of another stack, and a task has what it likes.
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::profiler {

/// Memory in which frames may lie. Reading it has no effect (no device's registers), so far as it
/// is there at all: pages that are missing, or go, only end a chain.
struct stack_rules {
    base::address_range where; ///< Empty: no chain is walked.
    uintptr_t largest;         ///< From the interrupted stack pointer to the last frame, at most.
};

/// By what was interrupted. With SMAP user mode's memory cannot be read: give none.
struct chain_rules {
    stack_rules kernel;
    stack_rules user;
};

/// Why a chain has ended.
enum class chain_end : uint8_t {
    outermost,  ///< At a frame pointer of 0: it is whole.
    too_long,   ///< There was no more room.
    misaligned, ///< A frame pointer that is no multiple of a word.
    outside,    ///< One that is not where frames may lie, or further away than a stack is large.
    not_above,  ///< One that does not lie above the frame before: a loop, or another stack.
    fault,      ///< It could not be read.
    no_code,    ///< The return address was not one.
};

struct chain_found {
    size_t count;
    chain_end end;
};

/// Writes the return addresses into `to`, innermost first, at most so many. The one who called a
/// function that has not set up its frame yet, or needs none, is missing; so is, behind a handler's
/// frame, the function that was interrupted.
///
/// It takes at most 2 * most loads, whatever it finds. It never stands still and never goes down,
/// so a loop ends it. An address that is not canonical is not asked about beforehand: the load
/// faults, as everywhere else.
///
/// @context any, as guarded_load(); NMI included @locks none
chain_found walk_chain(const x86::trap_frame& frame, const chain_rules& rules, uintptr_t* to,
                       size_t most);

} // namespace nmisafe::profiler
