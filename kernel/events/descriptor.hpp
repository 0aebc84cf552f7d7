// SPDX-License-Identifier: MIT
// The trace's descriptor, once there is one.
#pragma once

#include "nmisafe/trace_descriptor/descriptor.hpp"

namespace kernel {

/// Null: there is no trace. Set once, in a thread.
extern nmisafe::trace_descriptor::descriptor* trace_in_memory;

/// There is a trace. @context any
[[gnu::always_inline]] inline bool is_traced() {
    return __atomic_load_n(&trace_in_memory, __ATOMIC_RELAXED) != nullptr;
}

/// Says in memory how the machine has ended; nothing if there is no trace. @context any
inline void note_machine_state(nmisafe::trace_descriptor::machine_state state) {
    if (is_traced())
        __atomic_store_n(&trace_in_memory->state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
}

} // namespace kernel
