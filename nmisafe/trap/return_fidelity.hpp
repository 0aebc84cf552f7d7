// SPDX-License-Identifier: MIT
// The parts of the ring-3 tests of the return sequences: what they run, on which stacks, and how a
// sequence is stopped at each of its instructions. Not part of the library.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/trap/return_fidelity_layout.h"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/width.hpp"

namespace nmisafe::trap::fidelity {

/// Every register that a return restores; word numbers are those of return_fidelity_layout.h.
struct machine_state {
    uintptr_t word[STATE_WORDS];
};

/// One return sequence of the harness.
struct sequence {
    const char* name;
    const unsigned char* begin;
    const unsigned char* last; ///< Its last instruction, the one that lands.
    const unsigned char* end;  ///< Of all its code.
    size_t frame;              ///< Offset of the hardware frame at the start.
    unsigned instructions;     ///< How many it may execute.
    bool sti;                  ///< Has STI, which ring 3 may not execute: stepped runs only.
    bool pops_ss;              ///< IRETQ reads the frame's SS word.
};

extern const sequence sequences[7]; ///< The library's six and IRET as the reference.
extern const sequence control;      ///< Leaves needed words below the stack pointer.

/// The stack that a trap pushed its frame on. Another than the interrupted one is an IST (64-bit
/// only).
enum class trap_stack { interrupted, lower, upper };

/// Where the interrupted stack pointer is, where the trap pushed its frame, and what its handler
/// made of the frame's RSP (64-bit only).
struct placement {
    const char* name;
    size_t misaligned; ///< The interrupted stack pointer is this far below a multiple of 16.
    trap_stack stack;
    int lowered;        ///< The handler lowered RSP by so many bytes; raised it, if negative.
    bool emulated_call; ///< And pushed a return address there.
};

inline constexpr size_t placement_count = x86::is_64_bit ? 10 : 4;
extern const placement placements[placement_count];

/// What an event may overwrite below the stack pointer.
inline constexpr size_t scribbled_bytes = 512;

/// One run made ready: state at the sequence's first instruction and at the target.
struct run {
    machine_state before;
    machine_state expected;
    uintptr_t frame; ///< What the CPU pushed.
};

/// What a stepped run showed.
struct stepped_run {
    bool landed;              ///< The target was reached and the state stored.
    bool last_seen;           ///< The last instruction was among the boundaries.
    bool sti_directly_before; ///< STI was seen, with only the last instruction behind it.
    unsigned boundaries;      ///< Instruction boundaries stopped at: instructions executed.
    uintptr_t popped_flags;   ///< The word that POPF found.
    machine_state after;
};

/// Fills the stacks and the registers for one trap. `entry_flags` are the flags before the
/// sequence.
run prepare(const sequence& tested, const placement& where, uintptr_t image, uintptr_t entry_flags);

/// Whether the interrupted code's stack, from its stack pointer up, is as prepare() left it.
bool stack_kept(const run& prepared);

/// Runs a prepared sequence at full speed in this process.
machine_state run_at_once(const sequence& tested, const run& prepared);

/// Runs it stopping before each instruction of the sequence. With `scribble` overwrites what lies
/// below the stack pointer at each stop, as an event using this stack would. Skips STI, the one
/// instruction that ring 3 cannot execute. A run that crashes or goes elsewhere has not landed.
stepped_run run_stepped(const sequence& tested, const run& prepared, bool scribble);

/// The stacks, and what a run leaves: memory that a child process shares.
struct shared_memory {
    alignas(4096) unsigned char lower_stack[4096];
    alignas(4096) unsigned char interrupted_stack[8192];
    alignas(4096) unsigned char upper_stack[4096];
    stepped_run stepped;
};
shared_memory& memory();

extern "C" {
extern machine_state return_fidelity_before;
extern machine_state return_fidelity_after;
extern const unsigned char return_fidelity_landing[];
[[NMISAFE_ASSEMBLY_CALL]] void return_fidelity_run(const void* entry);
[[NMISAFE_ASSEMBLY_CALL]] void return_fidelity_read_segments();
}

} // namespace nmisafe::trap::fidelity
