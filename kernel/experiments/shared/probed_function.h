// SPDX-License-Identifier: MIT
// The function that kprobe-in-nmi puts probes on.
#ifndef KERNEL_EXPERIMENTS_SHARED_PROBED_FUNCTION_H
#define KERNEL_EXPERIMENTS_SHARED_PROBED_FUNCTION_H

#define PROBE_SLOTS 112
#define PROBE_SLOT_SIZE 32

// Which of the sweep's probes an instruction has.
#define PROBED_ALWAYS 0
#define PROBED_IN_SWEEP 1

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace kernel {

/// One instruction of probed_function(), as the assembler laid it out.
struct probed_instruction {
    int32_t offset;      ///< From this word.
    uint16_t executions; ///< In one call.
    uint16_t in_sweep;   ///< PROBED_IN_SWEEP, or not.

    uintptr_t address() const {
        return reinterpret_cast<uintptr_t>(&offset) + static_cast<uintptr_t>(intptr_t{offset});
    }
};

} // namespace kernel

extern "C" {

/// Many kinds of instructions, each of which takes part in the result. It changes nothing but
/// registers and its own stack. @context any, interrupts off
[[NMISAFE_ASSEMBLY_CALL]] uintptr_t probed_function(uintptr_t input);

extern const kernel::probed_instruction probed_instructions[], probed_instructions_end[];
extern const char probe_slots[];

/// Calls probed_action(); the window is the call.
[[NMISAFE_ASSEMBLY_CALL]] void window_probed();
[[NMISAFE_ASSEMBLY_CALL]] void probed_action();
extern const char window_probed_begin[], window_probed_end[];
}

#endif // __ASSEMBLER__
#endif
