// SPDX-License-Identifier: MIT
// How the one who hits a probe gets over its instruction: decided once, by insert().
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/kprobe/probe_error.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::kprobe::internal {

/// With a slot, the CPU runs what stands there and comes back by the INT3 at its end. Nothing but
/// the slot's own code says where it is in the step, and that code never changes: so any number of
/// CPUs, threads and NMIs may be in one slot at once, each interruptible and preemptible.
enum class way : uint8_t {
    skip,             // no slot: ip is all that changes
    jump,             // no slot
    conditional_jump, // no slot
    loop,             // no slot: ip and cx change
    jump_cx_zero,     // no slot
    copy,             // slot: the instruction; INT3
    call,             // slot: push the return address; INT3, which goes to the target
    call_indirect,    // slot: push the operand; INT3, which swaps it with the return address
    jump_indirect,    // slot: push the operand; INT3; ret
    return_near,      // slot: the ret itself. The post handler runs before it.
};

struct step {
    way how;
    uint8_t length;     // of the instruction
    uint8_t opcode;     // of a branch: its last byte, which has the condition or the kind of loop
    bool short_counter; // of a loop or jcxz: counts in a register of half the size
    uint8_t end;        // offset of the slot's INT3; of return_near, which has none, 0
    uint16_t released;  // of return_near: the bytes it pops besides the address
    uintptr_t target;   // of a relative branch
};

inline constexpr size_t longest_slot_code = x86::maximum_instruction_length + 2;

struct plan {
    step what;
    uint8_t code_size; // 0: no slot is needed
    uint8_t code[longest_slot_code];
};

/// How to step over the instruction that `bytes` are, at `address`, with a slot at `slot`. A slot
/// of 0 is taken to be where any operand can be reached.
/// @context any
base::expected<plan, probe_error> make_plan(const uint8_t* bytes,
                                            const x86::instruction& instruction, uintptr_t address,
                                            uintptr_t slot);

} // namespace nmisafe::kprobe::internal
