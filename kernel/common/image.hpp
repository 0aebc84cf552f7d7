// SPDX-License-Identifier: MIT
// Where the linker put things (boot/sections.ld).
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

extern "C" {
extern const char kernel_text_begin[];
extern const char kernel_text_end[];
extern const char kernel_no_probe_begin[];
extern const char kernel_no_probe_end[];
extern const char __start_nmisafe_trap_text[];
extern const char __stop_nmisafe_trap_text[];
}

namespace kernel {

[[NMISAFE_TRAP_INLINE]] inline uintptr_t text_address(const char* symbol) {
    return reinterpret_cast<uintptr_t>(symbol);
}

/// Whether an address is in the library's entry and return code. @context any
inline bool is_trap_text(uintptr_t ip) {
    return ip >= text_address(__start_nmisafe_trap_text) &&
           ip < text_address(__stop_nmisafe_trap_text);
}

} // namespace kernel
